package system

import (
	"os/user"
	"strconv"
)

// UserName returns the name of the user with the numeric uid, or the uid as text if the user database has no entry.
func UserName(uid int) string {
	if entry, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return entry.Username
	}
	return strconv.Itoa(uid)
}
