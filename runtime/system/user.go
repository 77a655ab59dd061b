package system

import (
	"os/user"
	"strconv"
)

// UserName returns the name of a user for messages: the number without an entry in the user database.
func UserName(uid int) string {
	if entry, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return entry.Username
	}
	return strconv.Itoa(uid)
}
