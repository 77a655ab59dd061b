package tomlfile

import "reflect"

// Inherit fills the fields of the struct that to points at, where they are
// zero, from those of from, which points at one of the same type.
func Inherit(to, from any) {
	t, f := reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem()
	for i := range t.NumField() {
		if t.Field(i).IsZero() {
			t.Field(i).Set(f.Field(i))
		}
	}
}

// Given are the keys of a struct whose fields are not zero.
func Given(of any) (keys []string) {
	v := reflect.ValueOf(of)
	for i := range v.NumField() {
		if key, tagged := v.Type().Field(i).Tag.Lookup("key"); tagged && !v.Field(i).IsZero() {
			keys = append(keys, key)
		}
	}
	return keys
}
