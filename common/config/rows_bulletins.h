// SPDX-License-Identifier: MIT
// Rows of the option table (options.h): announcements to all users.
#pragma once

#include <array>

#include "common/config/option.h"

namespace qpop::config {

inline constexpr std::array kBulletinsRows{
    Option{Opt::bulldir, "bulldir", 'b', Type::text, Scope::N, "", 0, 0, "", "folder of bulletins",
           "Each file in it whose name begins with a digit is a bulletin: one message, From_ line first; the number in front of the name is its own. A "
           "user gets, appended to his spool, all bulletins with a higher number than the last he got. The To: field is replaced by his address. The files are read "
           "with the user's rights.",
           false},
    Option{Opt::max_bulletins, "max-bulletins", 0, Type::integer, Scope::N, "1", 0, 100000, "", "how many old bulletins a new user gets", "The newest ones.", false},
    Option{Opt::group_bulletins, "group-bulletins", 0, Type::boolean, Scope::U, "false", 0, 0, "", "bulletins for groups of users",
           "The second part of a bulletin's name, between dots, is the group whose members get it, as in 7.staff.party; ALL stands for everybody. A name without "
           "a dot is for everybody, a group that does not exist for nobody; both are logged.",
           false},
    Option{Opt::popbull_dir, "popbull-dir", 0, Type::text, Scope::U, "", 0, 0, "", "where Qpopper kept the number of the last bulletin",
           "The number is kept in state-dir. When it is not there yet it is taken from USER.popbull in this folder, else from .popbull in the home folder, as "
           "Qpopper left it (in Qpopper a choice of whoever compiled it). Neither file is written.",
           false},
};

}  // namespace qpop::config
