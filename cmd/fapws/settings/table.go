package settings

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Machine holds the properties of a machine that defaults depend on.
type Machine struct {
	OpenFiles uint64 // the limit of open files of this process; 0 if not known
}

// ThisMachine describes the machine that fapws runs on. Go's start-up has raised the soft limit of open files to the
// hard one.
func ThisMachine() (m Machine) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		m.OpenFiles = uint64(limit.Cur)
	}
	return m
}

// Table returns the rows of all settings in the order of the help.
func Table(m Machine) []*Setting {
	return slices.Concat(addressRows(), tlsRows(), loginRows(), appRows(), fileRows(), cacheRows(), processRows(), limitRows(m), http2Rows(), websocketRows(), channelRows(), logRows())
}

// variants are flags of other servers that give a setting in another way.
var variants = []struct {
	name   string
	of     string // name of the setting
	prefix string // goes before the value
	fixed  string // the value of a flag without one
}{
	{name: "uds", of: "bind", prefix: "unix:"},
	{name: "unix-socket", of: "bind", prefix: "unix:"},
	{name: "fd", of: "bind", prefix: "fd://"},
	{name: "no-access-log", of: "access-log", fixed: "off"},
}
