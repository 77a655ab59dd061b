package command

import (
	"errors"
	"io"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/tomlfile"
)

// control is "fapws ctl".
func control(args []string, stdout io.Writer) error {
	err := ctl.Run(args, stdout, tomlfile.Nearest)
	var wrong *ctl.UsageError
	if errors.As(err, &wrong) {
		return exit.Usage(err)
	}
	return err
}
