package ssi

import (
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"time"

	"fapws/runtime/logfile"
)

type kind struct {
	run func(*page, *element)
	// Names of the permitted arguments. An element without any permitted argument is an error, except in hidden text,
	// where the element is skipped. If arguments is nil, run is called in hidden text, too, and checks the arguments.
	arguments []string
}

var kinds map[string]kind

func init() {
	kinds = map[string]kind{
		"comment":  {func(*page, *element) {}, nil},
		"config":   {(*page).config, []string{"errmsg", "echomsg", "timefmt", "sizefmt"}},
		"echo":     {(*page).echo, []string{"decoding", "encoding", "var"}},
		"elif":     {(*page).elif, nil},
		"else":     {(*page).otherwise, nil},
		"endif":    {(*page).endif, nil},
		"exec":     {(*page).exec, []string{"cmd", "cgi"}},
		"flastmod": {(*page).flastmod, []string{"file", "virtual"}},
		"fsize":    {(*page).fsize, []string{"file", "virtual"}},
		"if":       {(*page).conditional, nil},
		"include":  {(*page).include, []string{"virtual", "file", "onerror"}},
		"printenv": {(*page).printenv, nil},
		"set":      {(*page).set, []string{"decoding", "encoding", "var", "value"}},
	}
}

func (p *page) carryOut(e *element) {
	k := kinds[e.name]
	switch {
	case e.bad != "":
		p.fail("%s", e.bad)
	case k.run == nil:
		p.fail("unknown element %q", e.name)
	case k.arguments != nil && !p.printing:
	case k.arguments != nil && len(e.args) == 0:
		p.fail("%s requires an argument", e.name)
	default:
		k.run(p, e)
	}
}

// arguments yields the arguments of an element, up to the first argument with an unknown name or, as in mod_include,
// without a value.
func (p *page) arguments(e *element) iter.Seq[argument] {
	return func(yield func(argument) bool) {
		for _, a := range e.args {
			if a.hasValue && !slices.Contains(kinds[e.name].arguments, a.name) {
				p.fail("%s: unknown argument %q", e.name, a.name)
				return
			}
			if !a.hasValue || !yield(a) {
				return
			}
		}
	}
}

func (p *page) config(e *element) {
	for a := range p.arguments(e) {
		value := p.substitute(a.value)
		switch a.name {
		case "errmsg":
			p.errmsg = value
		case "echomsg":
			p.echomsg = value
		case "timefmt":
			p.timefmt = value
			p.vars.setTimes(value)
		case "sizefmt":
			switch value {
			case "bytes", "abbrev":
				p.bytes = value == "bytes"
			default:
				p.fail("sizefmt must be bytes or abbrev, not %q", value)
				return
			}
		}
	}
}

func (p *page) echo(e *element) {
	decoding, encoding := "none", "entity"
	for a := range p.arguments(e) {
		value := unescapeHTML(a.value)
		switch a.name {
		case "decoding":
			decoding = value
		case "encoding":
			encoding = value
		case "var":
			text, ok := p.variable(p.substitute(value))
			if !ok {
				p.write(p.echomsg)
				continue
			}
			if text, ok = p.recode(text, decoding, encoding); !ok {
				return
			}
			p.write(text)
		}
	}
}

// recode decodes a value with the codings in the list decoding, and then encodes it with the codings in the list
// encoding. A list is, for example, "url" or "base64,entity". If a list is invalid, ok is false, but recode processes
// both lists, so that all errors are reported.
func (p *page) recode(s, decoding, encoding string) (result string, ok bool) {
	ok = true
	for _, step := range []struct {
		what, list string
		table      map[string]func(string) string
	}{{"decoding", decoding, decoders}, {"encoding", encoding, encoders}} {
		for name := range strings.FieldsFuncSeq(step.list, func(c rune) bool {
			return c == ',' || c == ' ' || c == '\t'
		}) {
			f := step.table[strings.ToLower(name)]
			if f == nil {
				p.fail("unknown %s %q", step.what, name)
				ok = false
				break
			}
			s = f(s)
		}
	}
	return s, ok
}

func (p *page) set(e *element) {
	if len(e.args) < 2 {
		p.fail("set requires var and value")
		return
	}
	decoding, encoding, name, named := "none", "none", "", false
	for a := range p.arguments(e) {
		switch a.name {
		case "decoding":
			decoding = a.value
		case "encoding":
			encoding = a.value
		case "var":
			name, named = p.substitute(unescapeHTML(a.value)), true
		case "value":
			if !named {
				p.fail("set requires var before value")
				return
			}
			value, ok := p.recode(p.substitute(a.value), decoding, encoding)
			if !ok {
				return
			}
			if !p.vars.put(name, value) {
				p.fail("the variables are too large")
				return
			}
		}
	}
}

func (p *page) printenv(e *element) {
	switch {
	case len(e.args) > 0:
		p.fail("printenv has an argument")
	case p.printing:
		var b strings.Builder
		p.vars.each(func(name, value string) {
			b.WriteString(escapeHTML(name) + "=" + escapeHTML(value) + "\n")
		})
		p.write(b.String())
	}
}

// In hidden text, conditional only increments the nesting depth. In shown text, the condition of the enclosing if is
// known to be true, so the page need not store that condition.
func (p *page) conditional(e *element) {
	if !p.printing {
		p.hidden++
		return
	}
	p.ask(e)
}

func (p *page) elif(e *element) {
	if p.hidden > 0 {
		return
	}
	if p.found && e.asks {
		p.printing = false
		return
	}
	p.ask(e)
}

// ask evaluates the condition of an element. If the condition is invalid, no branch is shown.
func (p *page) ask(e *element) {
	if e.holds == nil {
		p.printing = true // show the error message even in hidden text
		p.fail("%s", e.wrong)
		p.printing, p.found = false, true
		return
	}
	p.printing = e.holds(p)
	p.found = p.printing
}

func (p *page) otherwise(e *element) {
	switch {
	case p.hidden > 0:
	case len(e.args) > 0:
		p.fail("else has an argument")
	case p.found:
		p.printing = false
	default:
		p.printing, p.found = true, true
	}
}

func (p *page) endif(e *element) {
	switch {
	case p.hidden > 0:
		p.hidden--
	case len(e.args) > 0:
		shown := p.printing
		p.printing = true
		p.fail("endif does not take arguments")
		p.printing = shown
	default:
		p.printing, p.found = true, true
	}
}

func (p *page) fsize(e *element) {
	p.eachFile(e, func(file fs.FileInfo) {
		if p.bytes {
			p.write(groupDigits(file.Size()))
		} else {
			p.write(formatSize(file.Size()))
		}
	})
}

func (p *page) flastmod(e *element) {
	p.eachFile(e, func(file fs.FileInfo) { p.write(formatTime(p.timefmt, file.ModTime().Local())) })
}

const maxTime = 8192 // in bytes

func formatTime(format string, t time.Time) string {
	text := logfile.AppendTime(nil, format[:min(len(format), maxTime)], t)
	return string(text[:min(len(text), maxTime)])
}

// formatSize formats a size in four characters: "973 ", " 12K", "1.5M".
func formatSize(size int64) string {
	if size < 973 {
		return fmt.Sprintf("%3d ", size)
	}
	for _, unit := range "KMGTPE" {
		rest := size & 1023
		size >>= 10
		if size >= 973 {
			continue
		}
		if size < 9 || size == 9 && rest < 973 {
			if rest = (rest*5 + 256) / 512; rest >= 10 {
				size, rest = size+1, 0
			}
			return fmt.Sprintf("%d.%d%c", size, rest, unit)
		}
		if rest >= 512 {
			size++
		}
		return fmt.Sprintf("%3d%c", size, unit)
	}
	return "****"
}

func groupDigits(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
