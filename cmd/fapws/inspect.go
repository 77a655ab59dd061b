package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
)

// inspect does what a command word asks for with an application that is loaded
// but not served, and --print-config.
func inspect(cmd *settings.Command, set *settings.Settings, stdout, stderr io.Writer) (code int, err error) {
	if cmd.Script == "" {
		return exitOK, set.WriteConfig(stdout)
	}
	early, err := set.Config()
	if err != nil {
		return 0, usage(err)
	}
	found, err := findApplication(cmd.Script, early)
	if err != nil {
		return 0, err
	}
	app, err := loadScript(found.options(cmd, set))
	var f *failure
	if errors.As(err, &f) && f.line == "" && cmd.Word == settings.WordCheck {
		return 0, notStarted("%s ended with code %d", cmd.ScriptName(), f.code)
	}
	if err != nil {
		return 0, err
	}
	warn := func(line string) { fmt.Fprintln(stderr, "fapws:", line) }
	switch cmd.Word {
	case settings.WordRoutes:
		code = app.Tool("_routes")
	case settings.WordShell:
		code = app.Tool("_shell")
	default:
		if err := judge(cmd, set, found.source, app, stdout, warn); err != nil {
			code = report(stderr, err)
		}
	}
	exitAfterClosingTime(code, warn)
	return max(code, app.Close()), nil
}

// judge looks at what the script left and says so.
func judge(cmd *settings.Command, set *settings.Settings, source []byte, app *pybridge.App, stdout io.Writer, warn func(line string)) error {
	inline := isInline(set, source)
	if err := readSettings(cmd, set, app, inline, warn); err != nil {
		return err
	}
	if _, err := mountTable(cmd.ScriptName(), app.Mounts()); err != nil {
		return err
	}
	conf, err := set.Config()
	if err != nil {
		return usage(err)
	}
	if cmd.Word == settings.WordPrintConfig {
		return set.WriteConfig(stdout)
	}
	what := "1 path"
	if app.Object() != "" {
		what = fmt.Sprintf("%s, which is %s", app.Served(), app.Object())
	} else if n := len(app.Mounts()); n != 1 {
		what = fmt.Sprintf("%d paths", n)
	}
	_, err = fmt.Fprintf(stdout, "%s is fine: %s, for %s (Python %s, %s)\n",
		cmd.ScriptName(), what, strings.Join(conf.Bind, ", "), pybridge.Version(), mode(conf.Threads))
	return err
}

// readSettings takes over what the script sets. A site that was written for other
// servers may have a TIMEOUT of its own that is no setting: warn is told of it.
func readSettings(cmd *settings.Command, set *settings.Settings, app *pybridge.App, inline bool, warn func(line string)) error {
	script, foreign := cmd.ScriptName(), app.Object() != "" // without PATHS, which is written for fapws
	if flag := set.Misplaced(cmd.Args); foreign && flag != "" {
		warn(fmt.Sprintf("%s goes to the application, not to fapws, whose flags come before %s; if that is meant, put -- between", flag, cmd.Script))
	}
	unusable := func(err error) error {
		if !foreign {
			return err
		}
		warn(err.Error() + ", so it is not taken for a setting")
		return nil
	}
	if err := set.ReadScript(script, globalOf(app), unusable); err != nil {
		return usage(err)
	}
	conf, err := set.Config()
	if err != nil {
		return usage(err)
	}
	return checkInline(script, inline, conf.Threads)
}
