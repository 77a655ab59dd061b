package command

import (
	"errors"
	"fmt"
	"io"

	"fapws/cmd/fapws/configfile"
	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/settings"
)

const importHelp = `Usage: fapws import web.conf > fapws.toml
web.conf has lines of the form: host DOMAIN DIRECTORY, media EXTENSION TYPE,
parameter NAME VALUE. Lines that cannot be converted are reported. For nginx, Caddy and
others, docs/migrate.md shows each directive in fapws.toml.

Exit status: 0 converted; 2 the file cannot be read or has no such line.
`

// importConf is "fapws import": it converts a configuration file of httPyServer, and reports the lines that it leaves
// out.
func importConf(args []string, stdout, stderr io.Writer) error {
	switch {
	case len(args) != 1:
		return exit.Usage(errors.New("import needs a file: fapws import web.conf > fapws.toml"))
	case args[0] == "--help" || args[0] == "-h":
		_, err := io.WriteString(stdout, importHelp)
		return err
	}
	text, err := configfile.ReadLimited(args[0])
	if err != nil {
		return exit.Usage(err)
	}
	file, notes, err := convertWebconf(args[0], text)
	if what := settings.ForeignFile(args[0]); what != "" && err != nil {
		return exit.Usage(fmt.Errorf("import reads web.conf of httPyServer only, and %s is %s", args[0], what))
	}
	for _, line := range notes {
		fmt.Fprintln(stderr, "fapws:", line)
	}
	if err != nil {
		return exit.Usage(err)
	}
	_, err = io.WriteString(stdout, file)
	return err
}
