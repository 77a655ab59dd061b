package settings

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
)

// TableReader is a type that reads itself from a value. The error says what is
// allowed and goes on after "must be ", unless it is one that Errorf made.
type TableReader interface {
	FromFile(v TOMLValue) error
}

// DecodeTOML fills the fields of the struct that to points at from t. A field says
// by the tag `key:"name"` which key it takes; its type is string, bool, *bool,
// int, []string (which a single string fills as well), Path, Paths, a struct, a
// pointer to one, a slice of structs ([[key]]), or a Reader. Structs without a
// tag are embedded: their keys stand beside the others. A field called At of the
// type Position is told where the table and each of its keys stand.
//
// report is called for each mistake, in the order of the file.
func DecodeTOML(t *TOMLTable, to any, report func(error)) {
	decode(t, reflect.ValueOf(to).Elem(), report)
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

// KeyPath is a file or folder; a relative one in a file is made absolute: it is
// relative to the folder of that file.
type KeyPath string

// FromFile implements Reader.
func (p *KeyPath) FromFile(v TOMLValue) error {
	s, ok := v.Any.(string)
	if !ok || s == "" || strings.ContainsRune(s, 0) {
		return errors.New("the name of a file or directory")
	}
	*p = KeyPath(v.File.Resolve(s))
	return nil
}

// Resolve makes a relative path one that is relative to the folder of the file.
func (f *TOMLFile) Resolve(path string) string {
	if filepath.IsAbs(path) || f.Dir == "" {
		return path
	}
	return filepath.Join(f.Dir, path)
}

// decode fills a struct.
func decode(t *TOMLTable, to reflect.Value, report func(error)) {
	fields := map[string]reflect.Value{}
	names := fieldsOf(to, t, fields)
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
		} else if err := v.into(field, report); err != nil {
			report(err)
		}
	}
}

// Unknown returns the error for a key that is not among names in the table.
func (v TOMLValue) Unknown(table string, names []string) error {
	where := ""
	if table != "" {
		where = " of [" + table + "]"
	}
	hint := ""
	if near := Nearest(v.Key, names); near != "" {
		hint = ", did you mean " + near + "?"
	}
	err := v.Errorf("unknown key %s%s%s", v.Key, where, hint).(*Mistake)
	err.Key, err.Table = v.Key, table
	return err
}

// fieldsOf finds the fields of a struct by their keys, and sets its Position.
func fieldsOf(to reflect.Value, t *TOMLTable, fields map[string]reflect.Value) (names []string) {
	for i := range to.NumField() {
		field, of := to.Field(i), to.Type().Field(i)
		key, tagged := of.Tag.Lookup("key")
		switch {
		case tagged:
			fields[key] = field
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
	to := reflect.New(reflect.TypeOf(of)).Elem()
	return fieldsOf(to, nil, map[string]reflect.Value{})
}

func (v TOMLValue) into(field reflect.Value, report func(error)) error {
	if r, ok := field.Addr().Interface().(TableReader); ok {
		return v.read(r)
	}
	switch to := field.Addr().Interface().(type) {
	case *string:
		s, ok := v.Any.(string)
		if !ok || strings.ContainsRune(s, 0) {
			return v.Must(errors.New("a string"))
		}
		*to = s
		return nil
	case *bool:
		b, ok := v.Any.(bool)
		if !ok {
			return v.Must(errors.New("true or false"))
		}
		*to = b
		return nil
	case *int:
		n, ok := v.Any.(int64)
		if !ok || n != int64(int(n)) {
			return v.Must(errors.New("an integer"))
		}
		*to = int(n)
		return nil
	case *[]string:
		list, err := v.Strings()
		*to = list
		return err
	}
	switch field.Kind() {
	case reflect.Pointer:
		x := reflect.New(field.Type().Elem())
		if err := v.into(x.Elem(), report); err != nil {
			return err
		}
		field.Set(x)
		return nil
	case reflect.Struct:
		t, ok := v.Any.(*TOMLTable)
		if !ok {
			return v.Must(errors.New("a table"))
		}
		decode(t, field, report)
		return nil
	case reflect.Slice:
		return v.tables(field, report)
	}
	panic("settings: no way to fill a " + field.Type().String())
}

// read lets a Reader read v.
func (v TOMLValue) read(r TableReader) error {
	err := r.FromFile(v)
	var whole *Mistake
	if err == nil || errors.As(err, &whole) {
		return err
	}
	return v.Must(err)
}

// tables fills a slice of structs from [[key]].
func (v TOMLValue) tables(field reflect.Value, report func(error)) error {
	list, ok := v.Any.([]TOMLValue)
	if !ok {
		return v.Errorf("%s is %s: write it as [[%s]]", v.Key, v.Type(), v.Key)
	}
	for _, one := range list {
		x := reflect.New(field.Type().Elem())
		if err := one.into(x.Elem(), report); err != nil {
			return err
		}
		field.Set(reflect.Append(field, x.Elem()))
	}
	return nil
}

// Strings is the value as a list of strings; a string is a list of one. The
// error is a whole line.
func (v TOMLValue) Strings() ([]string, error) {
	one, isString := v.Any.(string)
	list, isList := v.Any.([]TOMLValue)
	if isString {
		list = []TOMLValue{{File: v.File, Key: v.Key, Line: v.Line, Any: one}}
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
