package tomlfile

import "reflect"

// Inherit fills the fields of the struct that to points at, where they are
// zero, from those of from, which points at one of the same type. Embedded structs are filled field by field.
func Inherit(to, from any) { inherit(reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem()) }

func inherit(to, from reflect.Value) {
	for i := range to.NumField() {
		switch field := to.Field(i); {
		case to.Type().Field(i).Anonymous:
			inherit(field, from.Field(i))
		case field.IsZero():
			field.Set(from.Field(i))
		}
	}
}

// Given returns the keys of a struct whose fields are not zero, those of embedded structs too.
func Given(of any) []string { return given(reflect.ValueOf(of), nil) }

func given(of reflect.Value, keys []string) []string {
	for i := range of.NumField() {
		field := of.Type().Field(i)
		if key, tagged := field.Tag.Lookup("key"); tagged && !of.Field(i).IsZero() {
			keys = append(keys, key)
		} else if field.Anonymous {
			keys = given(of.Field(i), keys)
		}
	}
	return keys
}
