package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/auth"
)

var errNoPassword = errors.New("no password on standard input")

var withPassword = map[string]func(file, name, password string) error{"add": auth.Add, "passwd": auth.SetPassword,
	"check": auth.CheckPassword}

func user(args []string, stdin *os.File, stdout, stderr io.Writer) error {
	action, name, file, err := parseUser(args)
	if errors.Is(err, pflag.ErrHelp) || action == "help" {
		_, err := io.WriteString(stdout, settings.CommandHelp(settings.WordUser))
		return err
	}
	if err == nil && name == "" && withPassword[action] != nil {
		if name, err = askName(stdin, stderr); err != nil {
			err = fmt.Errorf("%s needs the name of one user", action)
		}
	}
	if err == nil && file == "" {
		file, err = configuredUsers()
	}
	what := "user"
	if err == nil {
		what += " " + action
		err = changeUsers(action, file, name, stdin, stdout, stderr)
		err = withExample(err, settings.WordUser, args)
		if _, wrong := errors.AsType[*auth.InvalidError](err); wrong {
			err = fmt.Errorf("%w (%s)", err, file)
		}
	}
	if err != nil {
		return process.ExitUsage(fmt.Errorf("%s: %w", what, err))
	}
	return nil
}

func askName(terminal *os.File, prompt io.Writer) (string, error) {
	if !process.IsTerminal(int(terminal.Fd())) {
		return "", errors.New("no terminal")
	}
	fmt.Fprint(prompt, "User: ")
	return readPassword(bufio.NewReader(terminal))
}

func parseUser(args []string) (action, name, file string, err error) {
	set := pflag.NewFlagSet("user", pflag.ContinueOnError)
	set.StringVarP(&file, "file", "f", "", "")
	words, err := settings.ParseFlags(set, args)
	if err != nil {
		return "", "", "", err
	}
	if len(words) > 0 {
		action, words = words[0], words[1:]
	}
	switch {
	case action == "help":
	case withPassword[action] == nil && action != "remove" && action != "list":
		err = errors.New("say what to do: add, passwd, check, remove or list; see fapws user --help")
	case action == "list" && len(words) > 0:
		err = errors.New("list takes no name")
	case len(words) > 1 || action == "remove" && len(words) == 0:
		err = fmt.Errorf("%s needs the name of one user", action)
	case len(words) == 1:
		name = words[0]
	}
	return action, name, file, err
}

// configuredUsers returns the file of users in the configuration, which must name exactly one.
func configuredUsers() (string, error) {
	set, err := settings.New(settings.Flags{}, os.LookupEnv)
	if err != nil {
		return "", err
	}
	p, err := plan.Read(&settings.CommandLine{}, set)
	if err != nil {
		return "", err
	}
	if p.File == nil {
		return "", errors.New("there is no configuration file that names the users; name their file with -f FILE")
	}
	conf, err := set.Config()
	if err != nil {
		return "", err
	}
	files := p.Site.UserFiles(&conf)
	switch len(files) {
	case 0:
		return "", cmp.Or(p.Mistakes, fmt.Errorf("%s names no file of users; name it with -f FILE", p.File.Name))
	case 1:
		return files[0], nil
	}
	return "", fmt.Errorf("%s names several files of users; choose one with -f: %s", p.File.Name,
		strings.Join(files, ", "))
}

func changeUsers(action, file, name string, stdin *os.File, stdout, stderr io.Writer) error {
	switch action {
	case "list":
		names, err := auth.Names(file)
		for _, one := range names {
			fmt.Fprintln(stdout, one)
		}
		return err
	case "remove":
		return auth.Remove(file, name)
	}
	if err := auth.CheckName(name); err != nil {
		return err
	}
	password, err := askPassword(stdin, stderr)
	if err != nil {
		return err
	}
	return withPassword[action](file, name, password)
}

// hashPassword prints a line for a file of users, like htpasswd, or only the hash if args contains no user.
// hashPassword prompts twice for the password on a terminal; otherwise the password is the first line of standard
// input.
func hashPassword(args []string, stdin *os.File, stdout, stderr io.Writer) error {
	user := ""
	switch {
	case len(args) > 1:
		return process.ExitUsage(errors.New("hash-password: one user at a time"))
	case len(args) == 1:
		if err := auth.CheckName(args[0]); err != nil {
			return process.ExitUsage(fmt.Errorf("hash-password: %w", err))
		}
		user = args[0] + ":"
	}
	hash := ""
	password, err := askPassword(stdin, stderr)
	if err == nil {
		hash, err = auth.Hash(password)
	}
	err = withExample(err, settings.WordHash, args)
	if err != nil {
		return process.ExitUsage(fmt.Errorf("hash-password: %w", err))
	}
	_, err = fmt.Fprintf(stdout, "%s%s\n", user, hash)
	return err
}

func askPassword(terminal *os.File, prompt io.Writer) (string, error) {
	r := bufio.NewReader(io.LimitReader(terminal, 4096))
	if !process.IsTerminal(int(terminal.Fd())) {
		return readPassword(r)
	}
	first, err := askHidden(terminal, r, prompt, "Password: ")
	if err != nil {
		return "", err
	}
	second, err := askHidden(terminal, r, prompt, "Again: ")
	if err == nil && first != second {
		err = errors.New("the two passwords differ")
	}
	return first, err
}

func askHidden(terminal *os.File, r *bufio.Reader, prompt io.Writer, text string) (string, error) {
	restore, err := process.ChangeTerminal(int(terminal.Fd()), unix.ECHO, prompt)
	if err != nil {
		return "", err
	}
	defer restore()
	fmt.Fprint(prompt, text)
	return readPassword(r)
}

// withExample adds to errNoPassword the command that was typed, with a password on its standard input.
func withExample(err error, command settings.Word, args []string) error {
	if errors.Is(err, errNoPassword) {
		return fmt.Errorf("%w; type one at a terminal, or send a line: echo PASSWORD | fapws %s", err,
			strings.Join(append([]string{string(command)}, args...), " "))
	}
	return err
}

func readPassword(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil && (err != io.EOF || line == "") {
		if err == io.EOF {
			err = errNoPassword
		}
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}
