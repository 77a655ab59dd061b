package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"fapws/cmd/fapws/process"
	"fapws/runtime/http1"
)

// A TableReader decodes itself from a value. The error describes the allowed values, and begins after the words "must
// be ". An error that Errorf has created is printed unchanged.
type TableReader interface {
	FromFile(v TOMLValue) error
}

// DecodeTOML decodes a table into the struct to which the second argument points. The tag `key:"name"` of a field names
// its key. The type of a field can be a type that single or into supports, a struct, a pointer to a struct, a slice of
// pointers to structs ([[key]]), or a TableReader. The keys of an embedded struct are in the same table. The field At,
// a *TOMLTable, is set to the table, which contains the lines of its keys. The field Enabled is set to true if the key
// has a value other than false. Further tags:
//
//   - is: the kind of the value. The tag contains a word in textKinds, or "expiries" for a list, "age" for a time,
//     "mode" for permissions of files, "sync" for Upload.Sync, "not" for the opposite of a boolean, "pairs" for a table
//     of strings as "NAME=value", or "some" for a list that must not be empty. The word "one" is followed by a list of
//     allowed words; the tag same then lists synonyms of these words.
//   - range: the minimum and the maximum of a number or size; the minimum of a time.
//   - needs: the key is required; the text describes its value.
//   - short: the field of a struct for a value that is not a table; the text describes the value.
//   - value: an example for the man page and docs/keys.md (DescribeKeys).
//
// DecodeTOML calls the function report for each mistake, in the order of the lines in the file.
func DecodeTOML(t *TOMLTable, to any, report func(error)) {
	s := reflect.ValueOf(to).Elem()
	place(s, t)
	fields := keyFields(s.Type())
	told := 0
	var v TOMLValue
	bounded := func(err error) {
		t.Rejected = append(t.Rejected, v.Key)
		if told++; told <= maxMistakes {
			report(err)
		}
	}
	for _, v = range t.Entries {
		if told >= maxMistakes {
			return
		}
		if i := slices.IndexFunc(fields, func(field keyField) bool { return field.key == v.Key }); i < 0 {
			bounded(v.Unknown(t.Name, KeysOf(s.Interface())))
		} else if err := v.into(s.FieldByIndex(fields[i].Index), fields[i].StructField, bounded); err != nil {
			bounded(err)
		}
	}
}

// keyField is a field of a struct with its tags key and needs.
type keyField struct {
	reflect.StructField
	key, needs string
}

// knownFields contains the result of keyFields for each type, because a file can have thousands of tables.
var knownFields sync.Map

// keyFields returns all fields of a struct, including its embedded structs, that have the tag key. Unlike
// reflect.VisibleFields, keyFields supports several fields with the same name. The caller must not change the result.
func keyFields(structure reflect.Type) (fields []keyField) {
	if known, ok := knownFields.Load(structure); ok {
		return known.([]keyField)
	}
	defer func() { knownFields.Store(structure, fields) }()
	for i := range structure.NumField() {
		f := structure.Field(i)
		if key := f.Tag.Get("key"); key != "" {
			fields = append(fields, keyField{f, key, f.Tag.Get("needs")})
		} else if f.Anonymous {
			for _, inner := range keyFields(f.Type) {
				inner.Index = slices.Concat(f.Index, inner.Index)
				fields = append(fields, inner)
			}
		}
	}
	return fields
}

// namedFields contains the results of fieldNamed.
var namedFields sync.Map

type namedField struct {
	of   reflect.Type
	name string
}

// fieldNamed returns the index of a field, or nil, faster than the method FieldByName of a type.
func fieldNamed(structure reflect.Type, name string) []int {
	key := namedField{structure, name}
	if index, ok := namedFields.Load(key); ok {
		return index.([]int)
	}
	f, _ := structure.FieldByName(name)
	namedFields.Store(key, f.Index)
	return f.Index
}

func KeysOf(table any) (keys []string) {
	for _, f := range keyFields(reflect.TypeOf(table)) {
		keys = append(keys, f.key)
	}
	return keys
}

// DescribeKeys returns the descriptions of the keys of a struct, but not of embedded structs. The example values come
// from the tag named value, in which "'" stands for '"'. help maps a key, such as "TABLE KEY" or, at the top of the
// file, "KEY", to its description.
func DescribeKeys(table string, structure any, help map[string]Text) (docs []KeyDoc) {
	for _, f := range keyFields(reflect.TypeOf(structure)) {
		if len(f.Index) == 1 {
			text := help[strings.TrimSpace(table+" "+f.key)]
			docs = append(docs, KeyDoc{table, f.key, strings.ReplaceAll(f.Tag.Get("value"), "'", `"`), text.Text, text.Guide})
		}
	}
	return docs
}

// InheritTable copies the fields of one struct to another of the same type, except fields whose key is set in table,
// the table of the target. The arguments are pointers, the target first.
func InheritTable(to, outer any, table *TOMLTable) {
	into, of := reflect.ValueOf(to).Elem(), reflect.ValueOf(outer).Elem()
	for _, f := range keyFields(into.Type()) {
		if !table.Set(f.key) {
			into.FieldByIndex(f.Index).Set(of.FieldByIndex(f.Index))
		}
	}
}

func place(s reflect.Value, t *TOMLTable) {
	if at := fieldNamed(s.Type(), "At"); at != nil {
		s.FieldByIndex(at).Set(reflect.ValueOf(t))
	}
}

func (t *TOMLTable) Set(key string) bool {
	_, ok := t.value(key)
	return ok
}

// Errorf returns an error with the line of a key, or with the line of the table if the table does not contain the key. The
// error begins with the key; the key of an inner table such as auth precedes it.
func (t *TOMLTable) Errorf(key, format string, args ...any) error {
	if t == nil {
		return fmt.Errorf(key+": "+format, process.ExitPlainArgs(args)...)
	}
	format = key + ": " + format
	if inner := t.Name[strings.LastIndexByte(t.Name, '.')+1:]; inner != key && !strings.HasPrefix(t.Name, "application.") &&
		!slices.Contains([]string{"", "host", "host.route"}, t.Name) {
		format = inner + ": " + format
	}
	if v, ok := t.value(key); ok {
		return v.Errorf(format, args...)
	}
	return t.File.Errorf(t.Line, format, args...)
}

func (t *TOMLTable) String() string {
	if t == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d", t.File.Name, t.Line)
}

func (t *TOMLTable) Key(key string) string {
	v, ok := t.value(key)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s:%d", v.File.Name, v.Line)
}

// LineOf returns the line of a key, or the line of the table if the table does not contain the key.
func (t *TOMLTable) LineOf(key string) int {
	if v, ok := t.value(key); ok {
		return v.Line
	}
	return t.Line
}

func (t *TOMLTable) value(key string) (TOMLValue, bool) {
	if t != nil {
		for _, v := range t.Entries {
			if v.Key == key {
				return v, true
			}
		}
	}
	return TOMLValue{}, false
}

func (t *TOMLTable) SetAmong(table any) []string {
	return slices.DeleteFunc(KeysOf(table), func(key string) bool { return !t.Set(key) })
}

// Resolve returns path, joined to the directory of the file if path is relative. In a bundle, relative paths of files
// that the bundle does not contain, such as logs, are relative to the working directory.
func (f *TOMLFile) Resolve(path string) string {
	resolved := resolve(f.Dir, path)
	if f.WorkDir != "" && resolved != path {
		if _, err := os.Lstat(resolved); err != nil {
			return resolve(f.WorkDir, path)
		}
	}
	return resolved
}

// ResolveApp returns the path of a script, joined to the directory of applications if path is relative.
func (f *TOMLFile) ResolveApp(path string) string { return resolve(f.AppDir, path) }

func resolve(dir, path string) string {
	if filepath.IsAbs(path) || dir == "" {
		return path
	}
	return filepath.Join(dir, path)
}

// Unknown returns the error for an unknown key.
func (v TOMLValue) Unknown(table string, names []string) error {
	where := ""
	if table != "" {
		where = " of [" + table + "]"
		if table == "host" || table == "host.route" {
			where = " of [[" + table + "]]"
		}
	}
	dashed := strings.ReplaceAll(v.Key, "_", "-") // nginx and Python write keys with underscores
	near, hint := Nearest(v.Key, names), ""
	small := !slices.Contains([]string{"", "host", "host.route"}, table) // a table such as host.auth
	if small && near != "" || slices.Contains(names, dashed) {
		return v.Errorf("unknown key %s%s, did you mean %s?", v.Key, where, near)
	}
	if v.File.Misplaced != nil {
		if known := v.File.Misplaced(table, dashed); known != "" {
			return v.Errorf("%s", known)
		}
	}
	if small {
		hint = "; its keys are " + strings.Join(names, ", ")
	} else if header := v.headerOf(names); header != "" && table == "" &&
		(near == "" || strings.HasPrefix(near, header+"-")) {
		return v.Errorf("[%s]: settings stand at the top of the file, not in a table; remove this line", header)
	} else if answer := foreignKey(v.Key); answer != "" {
		hint = ": " + answer
	} else if near != "" {
		hint = ", did you mean " + near + "?"
	}
	return v.Errorf("unknown key %s%s%s", v.Key, where, hint)
}

func (v TOMLValue) headerOf(names []string) string {
	t, isTable := v.Any.(*TOMLTable)
	switch {
	case !isTable:
		return ""
	case len(t.Entries) == 1 && t.Entries[0].IsTables():
		return t.Entries[0].headerOf(names)
	case len(t.Entries) == 0 || slices.ContainsFunc(t.Entries, func(e TOMLValue) bool {
		return slices.Contains(names, e.Key)
	}):
		return t.Name
	}
	return ""
}

func (v TOMLValue) into(field reflect.Value, structField reflect.StructField, report func(error)) error {
	is := structField.Tag.Get("is")
	switch to := field.Addr().Interface().(type) {
	case TableReader:
		return v.read(to)
	case *map[string]string:
		var pairs Pairs
		err := v.read(&pairs)
		*to = map[string]string{}
		for _, one := range pairs {
			(*to)[one.Name] = one.Value
		}
		return err
	case *[]string:
		if is != "expiries" {
			return v.list(to, is)
		}
	}
	if to := single(field.Addr().Interface(), structField.Tag); to != nil {
		if err := to.read(v.plain(), to.file, itself); err != nil {
			return v.Must(err)
		}
		if text := to.show(); is == "path" || structField.Tag.Get("path") != "" || is == "log" && text != "-" && text != "off" ||
			is == "program" && strings.ContainsRune(text, '/') {
			field.SetString(v.File.Resolve(text))
		}
		return nil
	}
	switch field.Kind() {
	case reflect.Pointer:
		x := reflect.New(field.Type().Elem())
		if err := v.into(x.Elem(), structField, report); err != nil {
			return err
		}
		field.Set(x)
		return nil
	case reflect.Struct:
		return v.structure(field, report)
	}
	return v.elements(field, structField, report)
}

// list reads a list of strings or a table of strings. The second argument is the tag "is" of the field, which
// determines the allowed strings.
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

// Pairs contains a table of strings, such as headers or types, in the order of the file.
type Pairs []http1.HeaderField

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
		*p = append(*p, http1.HeaderField{Name: one.Key, Value: s})
	}
	return nil
}

func (v TOMLValue) read(r TableReader) error {
	err := r.FromFile(v)
	if _, whole := errors.AsType[*Mistake](err); whole || err == nil {
		return err
	}
	return v.Must(err)
}

func (v TOMLValue) structure(to reflect.Value, report func(error)) error {
	if enabled := fieldNamed(to.Type(), "Enabled"); enabled != nil {
		to.FieldByIndex(enabled).SetBool(v.Any != false)
	}
	if t, isTable := v.Any.(*TOMLTable); isTable {
		DecodeTOML(t, to.Addr().Interface(), report)
		for _, of := range keyFields(to.Type()) {
			if of.needs != "" && !t.Set(of.key) && t.Rejected == nil {
				return v.Errorf("%s: needs %s, %s", v.Key, of.key, of.needs)
			}
		}
		return nil
	}
	place(to, &TOMLTable{File: v.File, Line: v.Line})
	var allowed []string
	for _, of := range reflect.VisibleFields(to.Type()) {
		short := of.Tag.Get("short")
		if short == "" {
			continue
		}
		if of.Name == "Enabled" {
			if on, ok := v.Any.(bool); ok && strings.Contains(short, strconv.FormatBool(on)) {
				return nil
			}
		} else if v.into(to.FieldByIndex(of.Index), of, report) == nil {
			return nil
		}
		allowed = append(allowed, short)
	}
	table := "a table with " + strings.Join(KeysOf(to.Interface()), ", ")
	if allowed != nil {
		table = strings.Join(allowed, ", ") + ", or " + table
	}
	return v.Must(errors.New(table))
}

func (v TOMLValue) elements(field reflect.Value, structField reflect.StructField, report func(error)) error {
	list, ok := v.Any.([]TOMLValue)
	switch {
	case ok:
	case field.Type().Elem().Kind() == reflect.Pointer:
		if t, isTable := v.Any.(*TOMLTable); isTable && len(t.Entries) == 1 && t.Entries[0].isArrayOfTables() {
			return v.Errorf("[[%s.%s]] needs %s in a line above", v.Key, t.Entries[0].Key, structField.Tag.Get("value"))
		}
		return v.Errorf("%s is %s: write it as %s", v.Key, v.Type(), structField.Tag.Get("value"))
	default:
		return v.Must(errors.New("an array of integers"))
	}
	for _, one := range list {
		x := reflect.New(field.Type().Elem())
		if err := one.into(x.Elem(), structField, report); err != nil {
			return err
		}
		field.Set(reflect.Append(field, x.Elem()))
	}
	return nil
}

// A single string is returned as a list with one element. The text of the error is a complete line.
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
