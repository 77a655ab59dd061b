package settings

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/pflag"
)

// Word is a command of fapws.
type Word string

// The commands. WordRun, WordCheck, WordRoutes, WordShell, WordHelp and WordVersion
// precede APP; help and version are flags as well. The arguments of WordCtl belong to
// package ctl, those of WordBench to its load generator; WordImport takes a file, WordHash a user,
// and WordUser an action.
const (
	WordRun         Word = "run"
	WordCheck       Word = "check"
	WordRoutes      Word = "routes"
	WordShell       Word = "shell"
	WordPrintConfig Word = "print-config"
	WordHelp        Word = "help"
	WordVersion     Word = "version"
	WordCtl         Word = "ctl"
	WordImport      Word = "import"
	WordHash        Word = "hash-password"
	WordBench       Word = "bench"
	WordUser        Word = "user"
	WordInternal    Word = "internal"
)

// TypedWords are the commands that users type.
var TypedWords = []string{"run", "check", "routes", "shell", "ctl", "bench", "import", "hash-password", "user", "version", "help"}

// Command is a command line that was understood.
type Command struct {
	Word   Word
	Topic  string   // of WordHelp: "", "all" or one of TypedWords; of WordInternal: which text
	Script string   // APP as typed, see SplitApp; "" with words that need none, and if a file names it
	Args   []string // arguments behind "--", sys.argv[1:] of the application; or those behind WordCtl, WordBench, WordImport, WordHash, WordUser
	Flags  Flags
}

// ErrNothing is the error of a command line that names nothing to serve, where
// no configuration file does either.
var ErrNothing = errors.New("no application given; usage: fapws [FLAGS] APP [-- ARGS...] (APP: app.py, module:app or a directory), or write fapws.toml; see fapws --help")

// ScriptName returns the name of the script or module for messages.
func (c *Command) ScriptName() string {
	place, _ := SplitApp(c.Script)
	return filepath.Base(place)
}

// IsDotted reports whether text is a name of Python, perhaps with others before it and dots between them.
func IsDotted(text string) bool {
	begins := true
	for _, c := range text {
		switch {
		case c == '_' || unicode.IsLetter(c) || unicode.IsNumber(c) && !begins:
			begins = false
		case c == '.' && !begins:
			begins = true
		default:
			return false
		}
	}
	return !begins
}

// isObject reports whether text can be the part of APP behind the last colon: a Python name with attributes. Parentheses count as
// well, so that a later message can explain them.
func isObject(text string) bool {
	name, arguments, called := strings.Cut(text, "(")
	return IsDotted(name) && (!called || strings.HasSuffix(arguments, ")"))
}

// SplitApp splits APP, as typed, into the path of a script or name of a module
// and the object in it, "" when none is named.
func SplitApp(app string) (place, object string) {
	if at := strings.LastIndexByte(app, ':'); at > 0 && isObject(app[at+1:]) {
		return app[:at], app[at+1:]
	}
	return app, ""
}

// InternalTopics are the texts that "fapws internal TOPIC" writes for build.sh.
var InternalTopics = []string{"man", "completion", "settings", "keys"}

// ParseCommand reads a command line without its first word, the program's
// name. Flags may precede and follow APP; "--" ends them, and the words that follow
// it are for the application. Every error is one line for the user.
func ParseCommand(rows []*Setting, args []string) (*Command, error) {
	p := parser{rows: rows, typed: args, cmd: &Command{Word: WordRun, Flags: Flags{}}}
	p.register()
	rest, dashes, err := p.flags(args, false)
	if err != nil {
		return nil, err
	}
	if dashes >= 0 { // no APP precedes "--": the configuration file may name one
		return p.finish(WordRun, nil, rest)
	}
	word := WordRun
	if len(rest) > 0 {
		switch w := Word(rest[0]); w {
		case WordRun, WordCheck, WordRoutes, WordShell, WordHelp, WordVersion, WordInternal:
			word, rest = w, rest[1:]
		case WordCtl, WordBench, WordImport, WordHash, WordUser:
			p.cmd.Word, p.cmd.Args = w, rest[1:]
			return p.cmd, nil
		default:
			p.app = rest[0]
		}
	}
	if rest, dashes, err = p.flags(rest, true); err != nil {
		return nil, err
	}
	if dashes < 0 {
		dashes = len(rest)
	}
	return p.finish(word, rest[:dashes], rest[dashes:])
}

// parser is a ParseCommand in progress.
type parser struct {
	rows                 []*Setting
	set                  *pflag.FlagSet
	typed                []string // the whole command line
	app                  string   // APP, where flags follow it
	cmd                  *Command
	help                 string
	version, printConfig bool
	check                bool
}

// finish completes the command with the words that are not flags, and the arguments
// of the application.
func (p *parser) finish(word Word, words, args []string) (*Command, error) {
	cmd := p.cmd
	first := ""
	if len(words) > 0 {
		first = words[0]
	}
	switch {
	case p.help != "" || word == WordHelp:
		if at := slices.IndexFunc(words, isHost); at >= 0 { // flask run -h HOST
			return nil, fmt.Errorf("-h shows the help; for an address use --host %s", words[at])
		}
		cmd.Word = WordHelp
		switch {
		case p.help == "all" || first == "all":
			cmd.Topic = "all"
		case word != WordHelp:
			cmd.Topic = string(word)
		case slices.Contains(TypedWords, first):
			cmd.Topic = first
		}
		return cmd, nil
	case p.version || word == WordVersion:
		cmd.Word = WordVersion
		return cmd, nil
	case word == WordInternal:
		cmd.Word, cmd.Topic = word, first
		if !slices.Contains(InternalTopics, first) {
			return nil, fmt.Errorf("internal: must be one of %s", strings.Join(InternalTopics, ", "))
		}
		return cmd, nil
	}
	cmd.Word = word
	switch {
	case p.printConfig:
		cmd.Word = WordPrintConfig
	case p.check:
		cmd.Word = WordCheck
	}
	if len(words) > 1 {
		return nil, p.unexpected(word, words)
	}
	if err := notAnApp(first, ""); err != nil {
		return nil, err
	}
	cmd.Script, cmd.Args = first, args
	return cmd, nil
}
