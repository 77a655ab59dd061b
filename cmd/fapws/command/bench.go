package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/loadgen"
)

// bench is "fapws bench". It returns exit.Failed if a request has failed, or a response has an error status.
func bench(args []string, stdout io.Writer) (code int, err error) {
	o, err := loadgen.ParseArgs(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exit.OK, nil
	case err != nil:
		return 0, exit.Usage(fmt.Errorf("bench: %w", err))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := loadgen.Run(ctx, o)
	if err != nil {
		return 0, &exit.Error{Code: exit.Failed, Text: "bench: " + exit.Plain(err).Error()}
	}
	if o.JSON {
		err = r.WriteJSON(stdout)
	} else {
		r.WriteText(stdout)
	}
	if r.Failed() {
		return exit.Failed, err
	}
	return exit.OK, err
}
