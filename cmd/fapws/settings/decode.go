package settings

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/route"
)

// TableReader is a type that reads itself from a value. The error says what is
// allowed and goes on after "must be ", unless it is one that Errorf made.
type TableReader interface {
	FromFile(v TOMLValue) error
}

// DecodeTOML fills the fields of the struct that to points at from t. A field says by the tag `key:"name"` which key it
// takes; its type is one that into knows, a struct, a pointer to one, a slice of pointers to structs ([[key]]), or a TableReader.
// Structs without a tag are embedded: their keys stand beside the others. A field called At of the type Position is
// told where the table and each of its keys stand. Further tags:
//
//   - is: what the value must be: a kind of textKinds; "age" for a time, "mode" for permissions of files; "one" and the
//     words that are allowed; "not" for the opposite of a boolean; "pairs" for a table of strings as "NAME=value";
//     "some" for a list that must not be empty;
//     "setting" for a key that is also a setting and is read as that.
//   - range: the least and the greatest integer.
//   - or: words in the place of a number, "none=-1".
//   - needs: the key must be given; the text says what it has.
//   - short: the field of a struct that takes a value which is not a table; the text says what that is. A field called
//     Given is true if the key has any value but false.
//   - value, help: an example and the text for the man page and docs/settings.md (DescribeKeys).
//
// report is called for each mistake, in the order of the file.
func DecodeTOML(t *TOMLTable, to any, report func(error)) {
	fields := map[string]keyField{}
	names := fieldsOf(reflect.ValueOf(to).Elem(), t, fields)
	told, all := 0, report
	report = func(err error) {
		if told++; told <= maxMistakes {
			all(err)
		}
	}
	for _, v := range t.Entries {
		if told >= maxMistakes {
			return
		}
		if field, known := fields[v.Key]; !known {
			report(v.Unknown(t.Name, names))
		} else if err := v.into(field.Value, field.StructField, report); err != nil {
			report(err)
		}
	}
}

// Position is where a table stands and where its keys do.
type Position struct {
	Table *TOMLTable
}

// Set reports whether the file has the key.
func (p Position) Set(key string) bool {
	_, ok := p.value(key)
	return ok
}

// Wants reports whether the file has the key with a value other than false.
func (p Position) Wants(key string) bool {
	v, ok := p.value(key)
	return ok && v.Any != false
}

// Errorf is an error about a key, at its line, or at that of the table if it
// is not given.
func (p Position) Errorf(key, format string, args ...any) error {
	if v, ok := p.value(key); ok {
		return v.Errorf(key+": "+format, args...)
	}
	if p.Table == nil {
		return fmt.Errorf(key+": "+format, args...)
	}
	return p.Table.File.Errorf(p.Table.Line, key+": "+format, args...)
}

// String is "file:line", or "" if it is in no file.
func (p Position) String() string {
	if p.Table == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d", p.Table.File.Name, p.Table.Line)
}

// Key is "file:line" of a key, or "" if it is not given.
func (p Position) Key(key string) string {
	v, ok := p.value(key)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s:%d", v.File.Name, v.Line)
}

func (p Position) value(key string) (TOMLValue, bool) {
	if p.Table != nil {
		for _, v := range p.Table.Entries {
			if v.Key == key {
				return v, true
			}
		}
	}
	return TOMLValue{}, false
}

// Given returns the keys of a struct that the table has.
func (p Position) Given(of any) []string {
	return slices.DeleteFunc(KeysOf(of), func(key string) bool { return !p.Set(key) })
}

// Resolve makes a relative path one that is relative to the folder of the file.
func (f *TOMLFile) Resolve(path string) string {
	if filepath.IsAbs(path) || f.Dir == "" {
		return path
	}
	return filepath.Join(f.Dir, path)
}

// Unknown returns the error for a key that is not among names in the table.
func (v TOMLValue) Unknown(table string, names []string) error {
	if v.File.Misplaced != nil {
		if known := v.File.Misplaced(table, v.Key); known != "" {
			return v.Errorf("%s", known)
		}
	}
	where := ""
	if table != "" {
		where = " of [" + table + "]"
	}
	hint := ""
	if answer := foreignKey(v.Key); answer != "" {
		hint = ": " + answer
	} else if near := Nearest(v.Key, names); near != "" {
		hint = ", did you mean " + near + "?"
	}
	return v.Errorf("unknown key %s%s%s", v.Key, where, hint)
}

// keyField is a field of a struct with its declaration.
type keyField struct {
	reflect.Value
	reflect.StructField
}

// fieldsOf finds the fields of a struct by their keys, and sets its Position.
func fieldsOf(to reflect.Value, t *TOMLTable, fields map[string]keyField) (names []string) {
	for i := range to.NumField() {
		field, of := to.Field(i), to.Type().Field(i)
		key, tagged := of.Tag.Lookup("key")
		switch {
		case tagged:
			fields[key] = keyField{field, of}
			names = append(names, key)
		case of.Type == reflect.TypeFor[Position]():
			field.Set(reflect.ValueOf(Position{t}))
		case of.Anonymous:
			names = append(names, fieldsOf(field, t, fields)...)
		}
	}
	return names
}

// KeysOf returns the keys of a struct for Decode, those of embedded structs too.
func KeysOf(of any) []string {
	return fieldsOf(reflect.New(reflect.TypeOf(of)).Elem(), nil, map[string]keyField{})
}

// DescribeKeys returns the descriptions of the keys of a struct, without those of embedded structs, by its tags value, with "'" for '"', and help.
func DescribeKeys(table string, of any) (docs []KeyDoc) {
	for i := range reflect.TypeOf(of).NumField() {
		tag := reflect.TypeOf(of).Field(i).Tag
		if key, tagged := tag.Lookup("key"); tagged {
			docs = append(docs, KeyDoc{table, key, strings.ReplaceAll(tag.Get("value"), "'", `"`), tag.Get("help")})
		}
	}
	return docs
}

// into reads v into a field, which is declared as of.
func (v TOMLValue) into(field reflect.Value, of reflect.StructField, report func(error)) error {
	is, words, _ := strings.Cut(of.Tag.Get("is"), " ")
	switch to := field.Addr().Interface().(type) {
	case TableReader:
		return v.read(to)
	case *string:
		if is == "one" {
			return v.by(choice(to, strings.Fields(words)...), isNumber) // 421 is a number to some
		} else if is != "setting" {
			err := v.by(textKinds[cmp.Or(is, "string")](to), 0)
			if err == nil && (is == "path" || is == "log" && *to != "-" && *to != "off" || is == "program" && strings.ContainsRune(*to, '/')) {
				*to = v.File.Resolve(*to)
			}
			return err
		}
	case *bool:
		switch is {
		case "one":
			return v.by(either(to, strings.Fields(words)...), 0)
		case "not":
			return v.by(negated(to), 0)
		case "":
			return v.by(toggle(to), 0)
		}
	case *int:
		if is == "mode" {
			err := v.by(octal(to), 0)
			if err == nil && *to < 1 {
				err = v.Must(errors.New(octal(to).file))
			}
			return err
		}
		var least, most int
		if n, _ := fmt.Sscanf(of.Tag.Get("range"), "%d-%d", &least, &most); n == 2 {
			return v.by(count(to, least, most), 0)
		}
	case *int64:
		if is == "" {
			return v.orWord(field, of.Tag.Get("or"), v.by(size(to, 1, 1<<50), 0))
		}
	case *time.Duration:
		if is == "age" {
			return v.by(age(to), 0)
		}
		return v.by(duration(to, 0), 0)
	case *map[string]string:
		var pairs Pairs
		err := v.read(&pairs)
		*to = map[string]string{}
		for _, one := range pairs {
			(*to)[one.Name] = one.Value
		}
		return err
	case *[]string:
		if is != "setting" {
			return v.list(to, is)
		}
	}
	switch {
	case is == "setting":
		return v.setting(field, of.Name)
	case field.Kind() == reflect.Pointer:
		x := reflect.New(field.Type().Elem())
		if err := v.into(x.Elem(), of, report); err != nil {
			return err
		}
		field.Set(x)
		return nil
	case field.Kind() == reflect.Struct:
		return v.structure(field, report)
	case field.Kind() == reflect.Slice:
		return v.elements(field, of, report)
	}
	panic("settings: no way to fill " + of.Name)
}

// by lets a kind of setting read v. more are kinds of values that it takes in a table, too.
func (v TOMLValue) by(to *value, more kind) error {
	to.kind |= more
	if err := to.read(v.Any, to.file, itself); err != nil {
		return v.Must(err)
	}
	return nil
}

// orWord reads one of the words that a number may have in its place, where err says that it is none.
func (v TOMLValue) orWord(to reflect.Value, words string, err error) error {
	if err == nil || words == "" {
		return err
	}
	allowed := ""
	for one := range strings.FieldsSeq(words) {
		word, meaning, _ := strings.Cut(one, "=")
		if v.Any == word {
			n, _ := strconv.ParseInt(meaning, 10, 64)
			to.SetInt(n)
			return nil
		}
		allowed += strconv.Quote(word) + ", "
	}
	return v.Must(errors.New(allowed + `or a number of bytes such as "4M"`))
}

// setting reads v as the setting of that name at the top of a file, and takes a field of the result.
func (v TOMLValue) setting(to reflect.Value, field string) error {
	c := &Config{}
	files := &table{}
	files.file()
	for _, row := range files.rows {
		if row.Name == v.Key {
			if err := row.fromFile(c, v, variant{}); err != nil {
				return v.Must(err)
			}
		}
	}
	to.Set(reflect.ValueOf(c).Elem().FieldByName(field))
	return nil
}

// list reads a list of strings, each of a kind, or a table of them.
func (v TOMLValue) list(to *[]string, is string) error {
	if is == "pairs" {
		var pairs Pairs
		err := v.read(&pairs)
		for _, one := range pairs {
			if strings.Contains(one.Name, "=") {
				return v.Must(errors.New(`a table of strings whose names have no "="`))
			}
			*to = append(*to, one.Name+"="+one.Value)
		}
		return err
	}
	list, err := v.Strings()
	for i := range list {
		if read := textKinds[is]; read != nil && err == nil {
			if wrong := read(&list[i]).parse(list[i]); wrong != nil {
				err = v.Must(wrong)
			}
		}
	}
	if err == nil && is == "some" && len(list) == 0 {
		err = v.Must(errors.New("an array that is not empty"))
	}
	*to = list
	return err
}

// like is a kind of text that fits, with a text that says which ones do.
func like(allowed string, fits func(string) bool) func(*string) *value {
	return func(to *string) *value {
		v := of(to, isText, func(s string) (string, error) {
			if !fits(s) || strings.ContainsRune(s, 0) {
				return "", errors.New(allowed)
			}
			return s, nil
		}, itself)
		v.file, v.script = allowed, "a string"
		return v
	}
}

func isGiven(s string) bool { return s != "" }

// IsPattern reports whether s is a pattern of file names, as path.Match has it.
func IsPattern(s string) bool {
	_, err := path.Match(s, "")
	return s != "" && err == nil && !strings.ContainsRune(s, '/')
}

// textKinds are the kinds of texts that only tables have, by the tag "is".
var textKinds = map[string]func(*string) *value{
	"string":  like("a string", func(string) bool { return true }),
	"path":    like("the name of a file or directory", isGiven),
	"log":     like(`the name of a file, "-" or "off"`, isGiven),
	"program": like(`a program such as "php-cgi"`, isGiven),
	"pattern": like(`a pattern of file names, such as "*.php"`, IsPattern),
	"format":  logFormat,
	"prefix": like(`a path that begins with a slash, without empty and dot segments, such as "/static/"; requests are compared in this form`, func(s string) bool {
		return strings.HasPrefix(s, "/") && !strings.ContainsAny(s, "?#\r\n") && http1.IsCanonicalPrefix(s)
	}),
	"server": like(`the name that a certificate is for, such as "api.example.org"`, func(s string) bool {
		return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`/[]"@`, c) })
	}),
	"host": func(to *string) *value {
		return of(to, isText, func(name string) (string, error) {
			host, err := route.HostName(name)
			if err != nil {
				err = errors.New(`host names without a port, such as "example.org", "*.example.org" or "example.*"`)
			}
			return host, err
		}, itself)
	},
}

// age is a time in whole seconds, long enough for a promise.
func age(to *time.Duration) *value {
	return of(to, isText|isNumber, func(text string) (time.Duration, error) {
		d, ok := ParseDuration(text)
		if !ok || d > 100*longest || d%time.Second != 0 {
			return 0, errors.New(`a time such as "1y", "180d" or "1h", or a number of seconds`)
		}
		return d, nil
	}, showDuration)
}

// Pairs is a table of strings, in the order of the file: headers, types.
type Pairs []exchange.Field

// FromFile implements TableReader.
func (p *Pairs) FromFile(v TOMLValue) error {
	t, ok := v.Any.(*TOMLTable)
	if !ok {
		return errors.New(`a table of strings, such as { name = "value" }`)
	}
	for _, one := range t.Entries {
		s, ok := one.Any.(string)
		if !ok || strings.ContainsAny(s+one.Key, "\r\n\x00") {
			return one.Must(errors.New("a string of one line"))
		}
		*p = append(*p, exchange.Field{Name: one.Key, Value: s})
	}
	return nil
}

// read lets a TableReader read v.
func (v TOMLValue) read(r TableReader) error {
	err := r.FromFile(v)
	var whole *Mistake
	if err == nil || errors.As(err, &whole) {
		return err
	}
	return v.Must(err)
}

// structure fills a struct from a table, or the field that takes something else.
func (v TOMLValue) structure(to reflect.Value, report func(error)) error {
	if given := to.FieldByName("Given"); given.IsValid() {
		given.SetBool(v.Any != false)
	}
	t, isTable := v.Any.(*TOMLTable)
	var keys []string
	if isTable {
		DecodeTOML(t, to.Addr().Interface(), report)
	} else {
		keys = fieldsOf(to, &TOMLTable{File: v.File, Line: v.Line}, map[string]keyField{})
	}
	var allowed []string
	for _, of := range reflect.VisibleFields(to.Type()) {
		key, needs, short := of.Tag.Get("key"), of.Tag.Get("needs"), of.Tag.Get("short")
		switch {
		case isTable && needs != "" && !(Position{t}).Set(key):
			return v.Errorf("%s: it needs %s, %s", v.Key, key, needs)
		case isTable || short == "":
			continue
		case of.Name == "Given":
			if on, ok := v.Any.(bool); ok && strings.Contains(short, strconv.FormatBool(on)) {
				return nil
			}
		case v.into(to.FieldByIndex(of.Index), of, report) == nil:
			return nil
		}
		allowed = append(allowed, short)
	}
	if isTable {
		return nil
	} else if allowed == nil {
		return v.Must(errors.New("a table"))
	}
	return v.Must(fmt.Errorf("%s, or a table with %s", strings.Join(allowed, ", "), strings.Join(keys, ", ")))
}

// elements fills a slice: of structs from [[key]].
func (v TOMLValue) elements(field reflect.Value, of reflect.StructField, report func(error)) error {
	list, ok := v.Any.([]TOMLValue)
	switch {
	case ok:
	case field.Type().Elem().Kind() == reflect.Pointer:
		return v.Errorf("%s is %s: write it as [[%s]]", v.Key, v.Type(), v.Key)
	default:
		return v.Must(errors.New("an array of integers"))
	}
	for _, one := range list {
		x := reflect.New(field.Type().Elem())
		if err := one.into(x.Elem(), of, report); err != nil {
			return err
		}
		field.Set(reflect.Append(field, x.Elem()))
	}
	return nil
}

// Strings is the value as a list of strings; a string is a list of one. The
// error is a whole line.
func (v TOMLValue) Strings() ([]string, error) {
	list, isList := v.Any.([]TOMLValue)
	if _, isString := v.Any.(string); isString {
		list = []TOMLValue{v}
	} else if !isList {
		return nil, v.Must(errors.New("a string or an array of strings"))
	}
	texts := make([]string, len(list))
	for i, item := range list {
		s, ok := item.Any.(string)
		if !ok || s == "" || strings.ContainsRune(s, 0) {
			return nil, item.Must(errors.New("a string, not an empty one"))
		}
		texts[i] = s
	}
	return texts, nil
}
