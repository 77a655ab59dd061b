package pubsub

import (
	"errors"
	"fmt"
	"strings"
)

const (
	// MaxName is the length of the longest name of a channel, in bytes.
	MaxName = 128

	// MaxNames is how many channels one subscriber may be of.
	MaxNames = 16
)

// CheckName returns an error of one line unless name can be that of a channel: 1 to MaxName letters and digits of
// ASCII and . _ ~ : / @ -, the first one a letter or digit.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("a channel name is empty")
	case len(name) > MaxName:
		return fmt.Errorf("a channel name has %d bytes; the maximum is %d; it begins with %.40q", len(name), MaxName, name)
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9':
		case i > 0 && strings.IndexByte("._~:/@-", c) >= 0:
		case i == 0:
			return fmt.Errorf("a channel name must begin with an ASCII letter or digit: %q", name)
		default:
			return fmt.Errorf("a channel name must consist of ASCII letters, digits and . _ ~ : / @ -: %q", name)
		}
	}
	return nil
}

// ParseNames reads the value of a field Fapws-Channel: names with commas and
// optional blanks between them (RFC 9110 §5.6.1). A name that comes twice counts
// once. The error is one line.
func ParseNames(list string) (names []string, err error) {
	for one := range strings.SplitSeq(list, ",") {
		one = strings.Trim(one, " \t")
		if err := CheckName(one); err != nil {
			return nil, err
		}
		if !contains(names, one) {
			if len(names) == MaxNames {
				return nil, fmt.Errorf("more than %d channels for one subscriber", MaxNames)
			}
			names = append(names, one)
		}
	}
	return names, nil
}

func contains(names []string, name string) bool {
	for _, one := range names {
		if one == name {
			return true
		}
	}
	return false
}
