package settings

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Flags holds the flags of a command line by the name of their setting.
type Flags map[string]flag

type flag struct {
	as   string // as typed: "--listen"
	text string
}

// register makes the set of all flags.
func (p *parser) register() {
	set := pflag.NewFlagSet("fapws", pflag.ContinueOnError)
	p.set = set
	set.SetOutput(discardOutput{})
	set.Usage = func() {}
	set.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-")) // gunicorn writes --limit-request-field_size
	})
	for _, row := range p.rows {
		p.add(row)
	}
	set.StringVarP(&p.help, "help", "h", p.help, "")
	set.Lookup("help").NoOptDefVal = "daily"
	set.BoolVarP(&p.version, "version", "V", p.version, "")
	set.BoolVar(&p.printConfig, "print-config", p.printConfig, "")
	set.BoolVar(&p.check, "check-config", p.check, "")
}

// flags reads flags and returns the other words. It stops at the first of these unless
// interspersed; dashes is the number of words before "--", or -1 without it. It may be called again if there was no "--".
func (p *parser) flags(args []string, interspersed bool) (words []string, dashes int, err error) {
	set := p.set
	set.SetInterspersed(interspersed)
	if err := set.Parse(p.completed(args)); err != nil {
		return nil, -1, p.explain(err)
	}
	return set.Args(), set.ArgsLenAtDash(), nil
}

// TookApp returns a flag, and its value, that is probably the application: app:app in
// "--access-log app:app". It returns "" if no flag looks so.
func (f Flags) TookApp() (flag, value string) {
	for _, one := range f {
		place, object := SplitApp(one.text)
		file := strings.ReplaceAll(place, ".", "/")
		if strings.HasSuffix(place, ".py") || IsDotted(place) && (object != "" || isFile(file+".py") || isFile(file+"/__init__.py")) {
			return one.as, one.text
		}
	}
	return "", ""
}

// add adds a setting under all of its names.
func (p *parser) add(row *Setting) {
	set, alone := p.set, ""
	if row.Arg == "" {
		alone = "yes" // a toggle
		set.VarPF(&recorder{into: p.cmd.Flags, row: row, as: "no-" + row.Name, fixed: "no"}, "no-"+row.Name, "", "").NoOptDefVal = "no"
	}
	set.VarPF(&recorder{into: p.cmd.Flags, row: row, as: row.Name}, row.Name, row.Short, "").NoOptDefVal = alone
	for _, alias := range row.Aliases {
		set.VarPF(&recorder{into: p.cmd.Flags, row: row, as: alias}, alias, "", "").NoOptDefVal = alone
	}
	for _, v := range variants {
		if v.of == row.Name {
			r := &recorder{into: p.cmd.Flags, row: row, as: v.name, prefix: v.prefix, fixed: v.fixed}
			set.VarPF(r, v.name, "", "").NoOptDefVal = v.fixed
		}
	}
}

// completed gives flags such as --debug their usual value where none follows.
func (p *parser) completed(args []string) []string {
	for _, row := range p.rows {
		if row.alone == "" {
			continue
		}
		for i, arg := range args {
			if arg == "--" {
				break
			}
			if arg == "--"+row.Name && (i+1 == len(args) || row.value(&Config{}).fromText(args[i+1]) != nil && !looksLikeNumber(args[i+1])) {
				args = slices.Clone(args)
				args[i] += "=" + row.alone
			}
		}
	}
	return args
}

// looksLikeNumber reports whether a word was meant as a value: "7" or "-1".
func looksLikeNumber(s string) bool { return digitsOnly(strings.TrimPrefix(s, "-")) }

// recorder notes a flag as typed. New reads the value.
type recorder struct {
	into   Flags
	row    *Setting
	as     string
	prefix string
	fixed  string // the only value
}

func (r *recorder) Set(text string) error {
	if r.fixed != "" && text != r.fixed {
		return errTakesNoValue
	}
	if answer := foreignAnswer("--"+r.as, text); answer != "" {
		return foreignValue(answer)
	}
	text = r.prefix + text
	switch r.row.value(&Config{}).(type) {
	case *addresses, *texts, *hostNames, *mappings, *networks, *expiries, *ports:
		if old, again := r.into[r.row.Name]; again {
			text = old.text + "," + text
		}
	}
	r.into[r.row.Name] = flag{as: "--" + r.as, text: text}
	return nil
}

func (r *recorder) String() string { return "" }
func (r *recorder) Type() string   { return r.row.Arg }

// foreignValue is the error of a value that a flag has in other servers: the answer to it.
type foreignValue string

func (v foreignValue) Error() string { return string(v) }

var errTakesNoValue = errors.New("the flag takes no value")

// explain turns an error of pflag into a line for the user.
func (p *parser) explain(err error) error {
	var unknown *pflag.NotExistError
	var bare *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	var foreign foreignValue
	switch {
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			return p.unknown("-" + name)
		}
		return p.unknown("--" + name)
	case errors.As(err, &bare):
		f := bare.GetFlag()
		if answer := foreignAnswer("--"+f.Name, ""); answer != "" {
			return fmt.Errorf("%s: %s", p.asTyped(f), answer)
		}
		return fmt.Errorf("--%s needs a value: --%s %s", f.Name, f.Name, f.Value.Type())
	case errors.As(err, &foreign):
		errors.As(err, &invalid)
		return fmt.Errorf("%s %s: %w", p.asTyped(invalid.GetFlag()), shorten(invalid.GetValue()), foreign)
	case errors.As(err, &invalid):
		return fmt.Errorf("--%s takes no value, not %q", invalid.GetFlag().Name, invalid.GetValue())
	}
	return err
}

// asTyped is "-t" or "--timeout".
func (p *parser) asTyped(f *pflag.Flag) string {
	short := "-" + f.Shorthand
	if f.Shorthand != "" && slices.ContainsFunc(p.typed, func(one string) bool { return strings.HasPrefix(one, short) }) {
		return short
	}
	return "--" + f.Name
}

// valueOf returns what follows a flag on the command line, "" if that is another flag.
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

// unknown is the error of a flag, "--name" or "-n", that is not in the set.
func (p *parser) unknown(typed string) error {
	if answer := foreignAnswer(typed, p.valueOf(typed)); answer != "" {
		return fmt.Errorf("unknown flag %s: %s", typed, answer)
	}
	separator := ""
	if p.app != "" {
		separator = fmt.Sprintf("; arguments of the application follow --: fapws %s -- %s", p.app, typed)
	}
	if name, long := strings.CutPrefix(typed, "--"); long {
		var names []string
		p.set.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := Nearest(name, names); near != "" {
			return fmt.Errorf("unknown flag %s, did you mean --%s?%s", typed, near, strings.Replace(separator, "; a", " A", 1))
		}
	}
	if separator != "" {
		return fmt.Errorf("unknown flag %s%s", typed, separator)
	}
	return fmt.Errorf("unknown flag %s; fapws --help all lists the flags", typed)
}

// discardOutput keeps pflag from printing.
type discardOutput struct{}

func (discardOutput) Write(p []byte) (int, error) { return len(p), nil }
