package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
)

func main() {
	failed, err := request(os.Args[1:])
	switch {
	case errors.As(err, new(*usageError)):
		fmt.Fprintf(os.Stderr, "request: %s\n", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "request: %s\n", err)
		os.Exit(1)
	case failed:
		os.Exit(1)
	}
}

// usageError is an error in the command line.
type usageError struct{ error }

// request runs a command line. It reports whether a request has failed or a response has an error status.
func request(args []string) (failed bool, err error) {
	o, err := ParseArgs(args, os.Stdout)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return false, nil
	case err != nil:
		return false, &usageError{err}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := Run(ctx, o)
	if err != nil {
		return false, err
	}
	if o.JSON {
		err = r.WriteJSON(os.Stdout)
	} else {
		r.WriteText(os.Stdout)
	}
	return r.Failed(), err
}
