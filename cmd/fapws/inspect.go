package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
)

// inspect does "fapws check" and --print-config: it goes all the way to
// serving, but does not listen.
func inspect(cmd *settings.Command, set *settings.Settings, stdout io.Writer) error {
	paths := 0
	if cmd.Script != "" {
		app, err := load(cmd, set)
		if err != nil {
			return err
		}
		defer app.Close()
		paths = len(app.Mounts())
		if _, err := mountTable(cmd.ScriptName(), app.Mounts()); err != nil {
			return err
		}
	}
	conf, err := set.Config()
	if err != nil {
		return usage(err)
	}
	if cmd.Word == settings.WordPrintConfig {
		return set.WriteConfig(stdout)
	}
	entries := "1 path"
	if paths != 1 {
		entries = fmt.Sprintf("%d paths", paths)
	}
	fmt.Fprintf(stdout, "%s is fine: %s, for %s (Python %s, %s)\n",
		cmd.ScriptName(), entries, strings.Join(conf.Bind, ", "), pybridge.Version(), mode(conf.Threads))
	return nil
}

// load runs the script on this thread and reads its settings.
func load(cmd *settings.Command, set *settings.Settings) (*pybridge.App, error) {
	source, err := readScript(cmd.Script)
	if err != nil {
		return nil, err
	}
	inline := isInline(set, source)
	app, err := loadScript(cmd)
	var f *failure
	if errors.As(err, &f) && f.line == "" && cmd.Word == settings.WordCheck {
		return nil, notStarted("%s ended with code %d", cmd.ScriptName(), f.code)
	}
	if err != nil {
		return nil, err
	}
	if err := readSettings(cmd.ScriptName(), set, app, inline); err != nil {
		app.Close()
		return nil, err
	}
	return app, nil
}

// readSettings takes over what the script sets.
func readSettings(script string, set *settings.Settings, app *pybridge.App, inline bool) error {
	if err := set.ReadScript(script, globalOf(app)); err != nil {
		return usage(err)
	}
	conf, err := set.Config()
	if err != nil {
		return usage(err)
	}
	return checkInline(script, inline, conf.Threads)
}
