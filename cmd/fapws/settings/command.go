package settings

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"fapws/cmd/fapws/tomlfile"
)

// Word says what fapws shall do.
type Word string

// The words. WordRun, WordCheck, WordRoutes, WordShell, WordHelp and WordVersion
// may be typed before APP; help and version are flags as well. What follows
// WordCtl is for package ctl, and what follows WordImport names a file,
// and WordHash a user.
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
	WordInternal    Word = "internal"
)

// TypedWords are those that people type.
var TypedWords = []string{"run", "check", "routes", "shell", "ctl", "import", "hash-password", "version", "help"}

// Command is a command line that was understood.
type Command struct {
	Word   Word
	Topic  string   // of WordHelp: "" or "all"; of WordInternal: which text
	Script string   // APP as typed, see SplitApp; "" with the words that need none, and where a file names it
	Args   []string // what follows APP: its sys.argv[1:]; or WordCtl, WordImport, WordHash
	Flags  Flags
}

// ErrNothing is the error of a command line that names nothing to serve, where
// no configuration file does either.
var ErrNothing = errors.New("which application? Usage: fapws [FLAGS] APP [ARGS...], where APP is app.py, app.py:app, module:app or a folder of files; fapws --help tells more")

// ScriptName is what messages call the script or module.
func (c *Command) ScriptName() string {
	place, _ := SplitApp(c.Script)
	return filepath.Base(place)
}

// objectName is what may stand behind the last colon of APP: a name of Python,
// with attributes. Parentheses are for who thinks that calling works there.
var objectName = regexp.MustCompile(`^[\p{L}_][\p{L}\p{N}_]*(\.[\p{L}_][\p{L}\p{N}_]*)*(\(.*\))?$`)

// SplitApp splits APP, as typed, into the path of a script or name of a module
// and the object in it, "" when none is named.
func SplitApp(app string) (place, object string) {
	if at := strings.LastIndexByte(app, ':'); at > 0 && objectName.MatchString(app[at+1:]) {
		return app[:at], app[at+1:]
	}
	return app, ""
}

// Flags holds the flags of a command line by the name of their setting.
type Flags map[string]flag

type flag struct {
	as   string // as typed: "--listen"
	text string
}

// InternalTopics are what "fapws internal TOPIC" writes, for build.sh.
var InternalTopics = []string{"man", "completion", "settings", "keys"}

// ParseCommand reads a command line without its first word, the program's
// name. Flags end at the script: what follows belongs to it. Every error is
// one line for the user.
func ParseCommand(rows []*Setting, args []string) (*Command, error) {
	p := parser{rows: rows, cmd: &Command{Word: WordRun, Flags: Flags{}}}
	rest, err := p.flags(args)
	if err != nil {
		return nil, err
	}
	word := WordRun
	if len(rest) > 0 {
		switch w := Word(rest[0]); w {
		case WordRun, WordCheck, WordRoutes, WordShell, WordHelp, WordVersion, WordInternal:
			word = w
			if rest, err = p.flags(rest[1:]); err != nil {
				return nil, err
			}
		case WordCtl, WordImport, WordHash:
			p.cmd.Word, p.cmd.Args = w, rest[1:]
			return p.cmd, nil
		}
	}
	return p.finish(word, rest)
}

type parser struct {
	rows                 []*Setting
	cmd                  *Command
	help                 string
	version, printConfig bool
	check                bool
}

func (p *parser) finish(word Word, rest []string) (*Command, error) {
	cmd := p.cmd
	first := ""
	if len(rest) > 0 {
		first = rest[0]
	}
	switch {
	case p.help != "" || word == WordHelp:
		cmd.Word = WordHelp
		if p.help == "all" || first == "all" {
			cmd.Topic = "all"
		}
		return cmd, nil
	case p.version || word == WordVersion:
		cmd.Word = WordVersion
		return cmd, nil
	case word == WordInternal:
		cmd.Word, cmd.Topic = word, first
		for _, topic := range InternalTopics {
			if topic == first {
				return cmd, nil
			}
		}
		return nil, fmt.Errorf("internal: must be one of %s", strings.Join(InternalTopics, ", "))
	}
	cmd.Word = word
	switch {
	case p.printConfig:
		cmd.Word = WordPrintConfig
	case p.check:
		cmd.Word = WordCheck
	}
	if first != "" {
		cmd.Script, cmd.Args = first, rest[1:]
	}
	return cmd, nil
}

// flags reads flags up to the first other word and returns the rest.
func (p *parser) flags(args []string) ([]string, error) {
	set := pflag.NewFlagSet("fapws", pflag.ContinueOnError)
	set.SetInterspersed(false)
	set.SetOutput(nowhere{})
	set.Usage = func() {}
	set.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-")) // gunicorn writes --limit-request-field_size
	})
	for _, row := range p.rows {
		alone := ""
		if row.Arg == "" {
			alone = "yes" // a toggle
		}
		set.VarPF(&recorder{into: p.cmd.Flags, row: row, as: row.Name}, row.Name, row.Short, "").NoOptDefVal = alone
		for _, alias := range row.Aliases {
			set.VarPF(&recorder{into: p.cmd.Flags, row: row, as: alias}, alias, "", "").NoOptDefVal = alone
		}
	}
	for _, v := range variants {
		for _, row := range p.rows {
			if row.Name == v.of {
				f := set.VarPF(&recorder{into: p.cmd.Flags, row: row, as: v.name, prefix: v.prefix}, v.name, "", "")
				f.NoOptDefVal = v.fixed
			}
		}
	}
	set.StringVarP(&p.help, "help", "h", p.help, "")
	set.Lookup("help").NoOptDefVal = "daily"
	set.BoolVarP(&p.version, "version", "V", p.version, "")
	set.BoolVar(&p.printConfig, "print-config", p.printConfig, "")
	set.BoolVar(&p.check, "check-config", p.check, "")
	if err := set.Parse(args); err != nil {
		return nil, explain(set, err)
	}
	return set.Args(), nil
}

// Misplaced returns the first of args, those of the application, that is a flag
// of fapws, as it was typed; "" when there is none. Behind "--" everything is meant
// for the application.
func (s *Settings) Misplaced(args []string) string {
	for _, arg := range args {
		if arg == "--" {
			return ""
		}
		long, isLong := strings.CutPrefix(arg, "--")
		long, _, _ = strings.Cut(strings.ReplaceAll(long, "_", "-"), "=")
		for _, row := range s.rows {
			if isLong && (row.Name == long || slices.Contains(row.Aliases, long)) ||
				!isLong && row.Short != "" && strings.HasPrefix(arg, "-"+row.Short) {
				return arg
			}
		}
	}
	return ""
}

// recorder notes what was typed; it is judged when all places were looked at.
type recorder struct {
	into   Flags
	row    *Setting
	as     string
	prefix string
}

func (r *recorder) Set(text string) error {
	text = r.prefix + text
	switch r.row.value(&Config{}).(type) {
	case *addresses, *texts, *mappings, *networks, *expiries:
		if old, again := r.into[r.row.Name]; again {
			text = old.text + "," + text
		}
	}
	r.into[r.row.Name] = flag{as: "--" + r.as, text: text}
	return nil
}

func (r *recorder) String() string { return "" }
func (r *recorder) Type() string   { return r.row.Arg }

// explain turns an error of pflag into a line that helps.
func explain(set *pflag.FlagSet, err error) error {
	var unknown *pflag.NotExistError
	var bare *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			return fmt.Errorf("unknown flag -%s; fapws --help lists the flags", name)
		}
		var names []string
		set.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := tomlfile.Nearest(name, names); near != "" {
			return fmt.Errorf("unknown flag --%s, did you mean --%s?", name, near)
		}
		return fmt.Errorf("unknown flag --%s; fapws --help all lists the flags", name)
	case errors.As(err, &bare):
		f := bare.GetFlag()
		return fmt.Errorf("--%s needs a value: --%s %s", f.Name, f.Name, f.Value.Type())
	case errors.As(err, &invalid):
		return fmt.Errorf("--%s takes no value, not %q", invalid.GetFlag().Name, invalid.GetValue())
	}
	return err
}

// nowhere keeps pflag from printing by itself.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
