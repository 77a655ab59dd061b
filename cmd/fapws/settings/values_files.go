package settings

import (
	"errors"
	"fmt"
	"strings"
)

// SymlinkPolicies are the values of Config.Symlinks.
var SymlinkPolicies = []string{"inside", "owner", "no"}

// expiries is a list of pattern=time; package static reads them.
type expiries struct{ to *[]string }

func (v *expiries) fromText(s string) error {
	list := texts{v.to}
	return list.fromTexts(s, func(one string) error {
		if pattern, age, _ := strings.Cut(one, "="); pattern == "" || age == "" {
			return fmt.Errorf("a pattern, =, and a time, such as *.css=30d or *=no-cache; not %s", shorten(one))
		}
		return nil
	})
}

func (v *expiries) fromScript(any) error { return errors.New("given as a flag") }
func (v *expiries) String() string       { return strings.Join(*v.to, ",") }
