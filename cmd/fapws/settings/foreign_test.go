package settings

import "testing"

// No flag of fapws is taken for one of another server.
func TestOwnFlagsAreNotForeign(t *testing.T) {
	for _, row := range Table(Machine{}) {
		for _, name := range append(row.Aliases, row.Name) {
			if answer := foreignAnswer("--"+name, "12345"); answer != "" {
				t.Errorf("--%s: %s", name, answer)
			}
		}
	}
}
