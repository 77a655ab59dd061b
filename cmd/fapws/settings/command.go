package settings

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/pflag"
)

type Word string

// APP follows WordRun, WordCheck, WordRoutes, WordShell, WordHelp and WordVersion; help and version are also flags. The
// comments of other words name their arguments.
const (
	WordRun         Word = "run"
	WordCheck       Word = "check"
	WordRoutes      Word = "routes"
	WordShell       Word = "shell"
	WordUnit        Word = "systemd-unit"
	WordPrintConfig Word = "print-config"
	WordHelp        Word = "help"
	WordVersion     Word = "version"
	WordCtl         Word = "ctl"           // package ctl parses its arguments
	WordImport      Word = "import"        // FILE
	WordHash        Word = "hash-password" // USER
	WordUser        Word = "user"          // ACTION
	WordNew         Word = "new"           // SAMPLE DIR
	WordBundle      Word = "bundle"        // APP and flags
	WordInternal    Word = "internal"
)

var typedWords = []string{"run", "check", "routes", "shell", "systemd-unit", "ctl", "import", "hash-password",
	"user", "new", "bundle", "version", "help"}

func IsWord(name string) bool { return slices.Contains(typedWords, name) }

// Start returns how a command line with this word starts.
func (w Word) Start() string {
	if w == WordRun || w == WordPrintConfig { // print-config is typed as a flag
		return "fapws"
	}
	return "fapws " + string(w)
}

type CommandLine struct {
	Word Word
	// the argument of WordHelp, which is a topic or "", or the argument of WordInternal, which is the name of a text
	Topic string
	// APP as typed (see SplitApp); "" if the command has no APP, or if the configuration file names the application
	Script string
	// With APP, Args contains the arguments after "--", which become sys.argv[1:] in the application.
	Args  []string
	Flags Flags
}

var ErrNothing = errors.New("no application given; usage: fapws [FLAGS] APP [-- ARGS...] (APP: app.py, module:app or " +
	"a directory), or write fapws.toml; see fapws --help")

func (c *CommandLine) ScriptName() string {
	place, _ := SplitApp(c.Script)
	return filepath.Base(place)
}

var dotted = Pattern(`^[\pL_][\pL\pN_]*(?:\.[\pL_][\pL\pN_]*)*$`)

func IsDotted(text string) bool { return dotted().MatchString(text) }

// isObject reports whether text can be the part of APP after the colon: a Python name with attributes, or a call.
func isObject(text string) bool {
	name, arguments, called := strings.Cut(text, "(")
	return IsDotted(name) && (!called || strings.HasSuffix(arguments, ")"))
}

// SplitApp splits APP into a place and an object. The place is the path of a script or the name of a module. The object
// is in that script or module; it is "" if APP names no object.
func SplitApp(app string) (place, object string) {
	name, _, _ := strings.Cut(app, "(") // ignore colons in the arguments of a call
	for _, part := range []string{name, app} {
		if at := strings.LastIndexByte(part, ':'); at > 0 && isObject(app[at+1:]) {
			return app[:at], app[at+1:]
		}
	}
	return app, ""
}

// internalTopics lists the topics for which "fapws internal TOPIC" writes a text for build.sh.
var internalTopics = []string{"man", "completion", "settings", "keys"}

// ParseCommand parses a command line without the program's name. Flags can precede and follow APP. The text of an error
// is one line for the user. keys returns the keys of the configuration file that are no settings, for advice about
// flags with their names.
func ParseCommand(args []string, keys func() []KeyDoc) (*CommandLine, error) {
	p := newParser(table(), args)
	p.keys = keys
	rest, dashes, err := p.flags(args, false)
	if err != nil {
		return nil, err
	}
	if dashes >= 0 { // APP may be missing before "--", because the configuration file can name the application
		return p.finish(WordRun, nil, rest)
	}
	word := WordRun
	if len(rest) > 0 {
		switch w := Word(rest[0]); w {
		case WordRun, WordCheck, WordRoutes, WordShell, WordUnit, WordHelp, WordVersion, WordInternal:
			word, rest = w, rest[1:]
			if name, found := strings.CutPrefix(longName(strings.Join(rest, " ")), "--"); found && w == WordHelp &&
				slices.ContainsFunc(p.rows, func(row *Setting) bool { return row.Name == name }) {
				rest = []string{name}
			}
		case WordCtl, WordImport, WordHash, WordUser, WordNew, WordBundle:
			p.cmd.Word, p.cmd.Args = w, rest[1:]
			simple := w == WordImport || w == WordHash || w == WordNew // the other commands have flags
			if simple && (slices.Contains(rest, "--help") || slices.Contains(rest, "-h")) {
				p.cmd.Word, p.cmd.Topic = WordHelp, rest[0]
			}
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

type parser struct {
	rows                 []*Setting
	set                  *pflag.FlagSet
	typed                []string
	keys                 func() []KeyDoc // nil except on the command line
	app                  string
	cmd                  *CommandLine
	help                 string
	version, printConfig bool
	check                bool
}

func (p *parser) finish(word Word, words, args []string) (*CommandLine, error) {
	cmd := p.cmd
	first := ""
	if len(words) > 0 {
		first = words[0]
	}
	switch {
	case p.help != "" || word == WordHelp:
		if at := slices.IndexFunc(words, isHost); at >= 0 { // users of Flask type: flask run -h HOST
			return nil, fmt.Errorf("-h shows the help; for an address use --host %s", words[at])
		}
		cmd.Word = WordHelp
		switch {
		case p.help == "all" || first == "all":
			cmd.Topic = "all"
		case word != WordHelp:
			cmd.Topic = string(word) // fapws check --help
		default:
			cmd.Topic = strings.Join(words, " ")
		}
		return cmd, nil
	case p.version || word == WordVersion:
		cmd.Word = WordVersion
		return cmd, nil
	case word == WordInternal:
		cmd.Word, cmd.Topic = word, first
		if !slices.Contains(internalTopics, first) {
			return nil, fmt.Errorf("internal: must be one of %s", strings.Join(internalTopics, ", "))
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

type Flags map[string]flag

type flag struct {
	as   string
	text string
}

// accepted lists flags of other servers that have no effect, because fapws chooses their values itself.
var accepted = []string{"max-requests-jitter", "limit-max-requests-jitter", "http2-initial-connection-window-size"}

func newParser(rows []*Setting, typed []string) *parser {
	p := &parser{rows: rows, typed: typed, cmd: &CommandLine{Word: WordRun, Flags: Flags{}}}
	set := pflag.NewFlagSet("fapws", pflag.ContinueOnError)
	p.set = set
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	set.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-")) // gunicorn writes --limit-request-field_size
	})
	for _, row := range p.rows {
		p.add(row)
	}
	for _, name := range accepted {
		set.Func(name, "", func(string) error { return nil })
	}
	set.StringVarP(&p.help, "help", "h", p.help, "")
	set.Lookup("help").NoOptDefVal = "daily"
	set.BoolVarP(&p.version, "version", "V", p.version, "")
	set.BoolVar(&p.printConfig, "print-config", p.printConfig, "")
	set.BoolVar(&p.check, "check-config", p.check, "")
	return p
}

// flags parses flags and returns the arguments that are not flags. Unless interspersed is true, flags stops at the
// first such argument. dashes is the number of words before "--". Without "--", dashes is -1, and flags can be called
// again.
func (p *parser) flags(args []string, interspersed bool) (words []string, dashes int, err error) {
	set := p.set
	if err := wrongDash(set, args); err != nil {
		return nil, -1, err
	}
	args = p.completed(args)
	if err := missingValues(set, args, interspersed, p.missingValue); err != nil {
		return nil, -1, err
	}
	set.SetInterspersed(interspersed)
	err = set.Parse(args)
	var unknown *pflag.NotExistError
	var wrong []error
	for errors.As(err, &unknown) {
		typed := typedName(unknown)
		wrong = append(wrong, p.unknown(typed))
		if typed[1] >= utf8.RuneSelf { // package pflag cannot define this flag
			return nil, -1, errors.Join(wrong...)
		}
		// Ignore the unknown flag for now, because further flags can be unknown, too. The value of an unknown flag is
		// taken for a word.
		name, short := strings.TrimLeft(typed, "-"), ""
		if !strings.HasPrefix(typed, "--") {
			name, short = "unknown flag "+typed, name
		}
		set.FuncP(name, short, "", func(string) error { return nil })
		set.Lookup(name).NoOptDefVal, set.Lookup(name).Hidden = "x", true
		set.SetInterspersed(true)
		err = set.Parse(args)
	}
	if err != nil {
		wrong = append(wrong, p.explain(err))
	}
	return set.Args(), set.ArgsLenAtDash(), errors.Join(wrong...)
}

// ParseFlags parses the flags of a command such as ctl, and returns the arguments that are not flags, even if they
// are between flags. The error is pflag.ErrHelp, or its text is a line for the user.
func ParseFlags(set *pflag.FlagSet, args []string) (words []string, err error) {
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	noValue := func(f *pflag.Flag, next string) error { return fmt.Errorf("--%s needs a value, not %s", f.Name, next) }
	err = wrongDash(set, args)
	if err == nil {
		err = missingValues(set, args, true, noValue)
	}
	if err != nil {
		return nil, err
	}
	switch err := set.Parse(args).(type) {
	case *pflag.NotExistError:
		typed := typedName(err)
		if near := nearestFlag(set, typed); near != nil {
			return nil, fmt.Errorf("unknown flag %s, did you mean --%s?", typed, near.Name)
		}
		return nil, fmt.Errorf("unknown flag %s; see fapws %s --help", typed, set.Name())
	case *pflag.ValueRequiredError:
		return nil, fmt.Errorf("--%s needs a value", err.GetFlag().Name)
	case *pflag.InvalidValueError:
		return nil, fmt.Errorf("--%s %s: %w", err.GetFlag().Name, shorten(err.GetValue()), errors.Unwrap(err))
	default:
		return set.Args(), err
	}
}

// wrongDash returns an error if a flag begins with a typographic dash, as word processors write it, instead of "-", or
// if the name of a flag follows a single dash.
func wrongDash(set *pflag.FlagSet, args []string) error {
	for _, arg := range args {
		if arg == "--" {
			break
		}
		name := strings.TrimLeftFunc(arg, func(r rune) bool { return unicode.Is(unicode.Pd, r) || r == '−' })
		dashes := arg[:len(arg)-len(name)]
		word, _, _ := strings.Cut(name, "=")
		if dashes == "-" && len(word) > 1 && set.Lookup(word) != nil {
			return fmt.Errorf("%s has one dash only; type -%s", arg, arg)
		}
		if name == "" || strings.Trim(dashes, "-") == "" {
			continue
		}
		flag := "--" + name
		if len(name) == 1 {
			flag = "-" + name
		}
		return fmt.Errorf("%s begins with another dash than the minus sign of the keyboard; type %s", arg, flag)
	}
	return nil
}

// missingValues returns an error for each flag that would take the next flag as its value. The function missing returns
// the error for a flag and the next argument. A value after "=" can begin with "-".
func missingValues(set *pflag.FlagSet, args []string, interspersed bool, missing func(*pflag.Flag, string) error) error {
	var wrong []error
	for i := 0; i+1 < len(args) && args[i] != "--"; i++ {
		if !strings.HasPrefix(args[i], "-") && !interspersed {
			break
		}
		f, next := takesNext(set, args[i]), args[i+1]
		switch {
		case f == nil:
		case isFlag(f, next):
			wrong = append(wrong, missing(f, next))
		default:
			i++
		}
	}
	return errors.Join(wrong...)
}

// takesNext returns the flag whose value is the argument after arg, or nil.
func takesNext(set *pflag.FlagSet, arg string) *pflag.Flag {
	var f *pflag.Flag
	if name, long := strings.CutPrefix(arg, "--"); long {
		f = set.Lookup(name)
	} else if shorts, ok := strings.CutPrefix(arg, "-"); ok {
		for i := range len(shorts) {
			if f = set.ShorthandLookup(shorts[i : i+1]); f == nil || f.NoOptDefVal == "" && i < len(shorts)-1 {
				return nil
			}
		}
	}
	if f == nil || f.NoOptDefVal != "" {
		return nil
	}
	return f
}

// isFlag reports whether the argument after the flag f is another flag, or "--", and not the value of f. The value can
// be "-" or, if f takes a number, a negative number, whose error describes the allowed numbers.
func isFlag(f *pflag.Flag, next string) bool {
	if len(next) < 2 || next[0] != '-' {
		return false
	}
	r, ours := f.Value.(*recorder)
	return !plainNumber(next[1:]) || ours && r.row.value.kind&(isNumber|isFloat) == 0
}

// leadingFlag returns the flag of fapws with which the value of a variable begins, or "".
func leadingFlag(value string) string {
	flag, _, _ := strings.Cut(value, " ")
	name, _, _ := strings.Cut(strings.TrimLeft(flag, "-"), "=")
	if name == "" || flag[0] != '-' {
		return ""
	}
	set := newParser(table(), nil).set
	if strings.HasPrefix(flag, "--") && set.Lookup(name) != nil || len(name) == 1 && set.ShorthandLookup(name) != nil {
		return flag
	}
	return ""
}

func typedName(unknown *pflag.NotExistError) string {
	if group := unknown.GetSpecifiedShortnames(); group != "" && group[0] >= utf8.RuneSelf {
		return "-" + group
	} else if group != "" {
		return "-" + unknown.GetSpecifiedName()
	}
	return "--" + unknown.GetSpecifiedName()
}

func nearestFlag(set *pflag.FlagSet, typed string) *pflag.Flag {
	name, long := strings.CutPrefix(typed, "--")
	if !long {
		return nil
	}
	var names []string
	set.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return set.Lookup(Nearest(name, names))
}

// TookApp returns a flag whose value probably is the application, and this value. TookApp returns "" if no flag has
// taken the application.
func (f Flags) TookApp() (flag, value string) {
	for _, one := range f {
		place, object := SplitApp(one.text)
		file := strings.ReplaceAll(place, ".", "/")
		if strings.HasSuffix(place, ".py") || IsDotted(place) && (object != "" || IsFile(file+".py") ||
			IsFile(file+"/__init__.py")) {
			return one.as, one.text
		}
	}
	return "", ""
}

func (p *parser) add(row *Setting) {
	names, alone := row.names(), ""
	if row.Arg == "" {
		alone = "yes"
	}
	if row.Arg == "" || row.alone == "yes" {
		names = append(names, variant{row: row, name: "no-" + row.Name, fixed: "no"})
	}
	for _, one := range names {
		short := ""
		if one.name == row.Name {
			short = row.Short
		}
		p.set.VarPF(&recorder{p.cmd.Flags, one}, one.name, short, "").NoOptDefVal = cmp.Or(one.fixed, alone)
	}
}

// completed adds the default value to flags such as --debug that were typed without a value.
func (p *parser) completed(args []string) []string {
	for _, row := range p.rows {
		if row.alone == "" {
			continue
		}
		for i, arg := range args {
			if arg == "--" {
				break
			}
			if arg == "--"+row.Name && (i+1 == len(args) || row.value.parse(args[i+1]) != nil &&
				!digitsOnly(strings.TrimPrefix(args[i+1], "-"))) {
				args = slices.Clone(args)
				args[i] += "=" + row.alone
			}
		}
	}
	return args
}

type recorder struct {
	into Flags
	variant
}

func (r *recorder) Set(text string) error {
	if r.fixed != "" && text != r.fixed {
		return errTakesNoValue
	}
	if answer := foreignAnswer("--"+r.name, text); answer != "" {
		return errors.New(answer)
	}
	text = r.prefix + text
	if old, again := r.into[r.row.Name]; again && r.row.value.kind&isList != 0 {
		text = old.text + "," + text
	}
	r.into[r.row.Name] = flag{as: "--" + r.name, text: text}
	return nil
}

func (r *recorder) String() string { return "" }
func (r *recorder) Type() string   { return r.row.Arg }

var errTakesNoValue = errors.New("the flag takes no value")

func (p *parser) explain(err error) error {
	switch err := err.(type) {
	case *pflag.NotExistError:
		return p.unknown(typedName(err))
	case *pflag.ValueRequiredError:
		return p.missingValue(err.GetFlag(), "")
	case *pflag.InvalidValueError:
		f := err.GetFlag()
		// in other servers, a flag that takes no value here can have one
		if _, ours := f.Value.(*recorder); ours && !errors.Is(err, errTakesNoValue) {
			return fmt.Errorf("%s %s: %w", p.asTyped(f), shorten(err.GetValue()), errors.Unwrap(err))
		}
		return fmt.Errorf("--%s takes no value, not %q", f.Name, err.GetValue())
	}
	return err
}

// missingValue returns the error about a flag without a value. next is the flag that follows it, or "".
func (p *parser) missingValue(f *pflag.Flag, next string) error {
	if answer := foreignAnswer("--"+f.Name, next); answer != "" {
		return fmt.Errorf("%s: %s", p.asTyped(f), answer)
	}
	if next != "" {
		next = ", not " + next
	}
	example := f.Value.Type()
	if r, ours := f.Value.(*recorder); ours && r.prefix == "" {
		example = r.row.typedExample()
	}
	return fmt.Errorf("--%s needs a value%s: --%s %s", f.Name, next, f.Name, example)
}

func (p *parser) asTyped(f *pflag.Flag) string {
	short := "-" + f.Shorthand
	if f.Shorthand != "" && slices.ContainsFunc(p.typed, func(one string) bool { return strings.HasPrefix(one, short) }) {
		return short
	}
	return "--" + f.Name
}

func (p *parser) valueOf(typed string) string {
	for i, one := range p.typed {
		if value, joined := strings.CutPrefix(one, typed+"="); joined {
			return value
		}
		if one == typed && i+1 < len(p.typed) && !strings.HasPrefix(p.typed[i+1], "-") {
			return p.typed[i+1]
		}
	}
	return ""
}

// keyAnswer returns the advice about a flag with the name of a key of the configuration file, or "".
func (p *parser) keyAnswer(typed string) string {
	name, long := strings.CutPrefix(strings.ReplaceAll(typed, "_", "-"), "--")
	if p.keys == nil || !long {
		return ""
	}
	for _, k := range p.keys() {
		if k.Key != name {
			continue
		}
		where := map[string]string{"host": " in [[host]]", "host.route": " in [[host.route]]", "rules": " in [[host.route]]"}
		if strings.HasPrefix(k.Value, "[[") {
			return "use the table " + k.Value + " of fapws.toml; see fapws help site"
		}
		return fmt.Sprintf("use a key of fapws.toml, %s = %s%s; see fapws help site", k.Key, k.Value, where[k.Table])
	}
	return ""
}

// oneKey matches advice to use one key, which is a flag, too.
var oneKey = Pattern(`^use ([a-z0-9-]+) = "?([^"]+)"?$`)

// directiveAnswer returns the advice about a flag with the name of a directive of nginx, or "".
func (p *parser) directiveAnswer(typed string) string {
	name, long := strings.CutPrefix(strings.ReplaceAll(typed, "_", "-"), "--")
	answer := foreignAnswer(name+"=", "")
	near := nearestFlag(p.set, typed)
	use, isUse := strings.CutPrefix(answer, "use ")
	switch key := oneKey().FindStringSubmatch(answer); {
	case !long || near != nil && letters(near.Name) == letters(name):
		return ""
	case key != nil && p.set.Lookup(key[1]) != nil:
		value := p.valueOf(typed)
		if value == "" || !digitsOnly(value[:1]) { // the next word can be the application
			value = key[2]
		}
		return fmt.Sprintf("use --%s %s", key[1], value)
	case isUse:
		return "use a key of fapws.toml, " + use
	}
	return answer
}

func (p *parser) unknown(typed string) error {
	if answer := foreignAnswer(typed, p.valueOf(typed)); answer != "" {
		return fmt.Errorf("unknown flag %s: %s", typed, answer)
	}
	if answer := cmp.Or(p.keyAnswer(typed), p.directiveAnswer(typed)); answer != "" {
		return fmt.Errorf("unknown flag %s: %s", typed, answer)
	}
	separator := ""
	if p.app != "" {
		separator = fmt.Sprintf("; arguments of the application follow --: fapws %s -- %s", p.app, typed)
	}
	if near := nearestFlag(p.set, typed); near != nil {
		return fmt.Errorf("unknown flag %s, did you mean --%s?%s", typed, near.Name,
			strings.Replace(separator, "; a", " A", 1))
	}
	if separator != "" {
		return fmt.Errorf("unknown flag %s%s", typed, separator)
	}
	return fmt.Errorf("unknown flag %s; fapws --help all lists the flags", typed)
}
