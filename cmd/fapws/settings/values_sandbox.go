package settings

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// SandboxModes are the values of Config.Sandbox.
var SandboxModes = []string{"off", "on", "strict"}

// sandboxMode is one of SandboxModes, or yes or no.
type sandboxMode struct{ choice }

func (v *sandboxMode) fromText(s string) error {
	var on bool
	if (&toggle{&on}).fromText(s) != nil {
		return v.choice.fromText(s)
	}
	*v.to = SandboxModes[0]
	if on {
		*v.to = SandboxModes[1]
	}
	return nil
}

// ports is a list of ports, separated by commas.
type ports struct {
	to   *[]int
	unix *bool // the list may have the word "unix"; nil: it may not
}

func (v *ports) fromText(s string) error {
	var list []int
	unix, word := false, ""
	if v.unix != nil {
		word = " or unix,"
	}
	for one := range strings.SplitSeq(s, ",") {
		if v.unix != nil && strings.TrimSpace(one) == "unix" {
			unix = true
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(one))
		if err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("ports from 1 to 65535,%s separated by commas; not %s", word, shorten(one))
		}
		list = append(list, n)
	}
	v.put(list, unix)
	return nil
}

func (v *ports) put(list []int, unix bool) {
	if *v.to = list; v.unix != nil {
		*v.unix = unix
	}
}

func (v *ports) fromScript(any) error { return errors.New("given as a flag") }

func (v *ports) String() string {
	var texts []string
	if v.unix != nil && *v.unix {
		texts = append(texts, "unix")
	}
	for _, n := range *v.to {
		texts = append(texts, strconv.Itoa(n))
	}
	return strings.Join(texts, ",")
}
