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
type ports struct{ to *[]int }

func (v *ports) fromText(s string) error {
	var list []int
	for one := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(one))
		if err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("ports from 1 to 65535, separated by commas; not %s", shorten(one))
		}
		list = append(list, n)
	}
	*v.to = list
	return nil
}

func (v *ports) fromScript(any) error { return errors.New("given as a flag") }

func (v *ports) String() string {
	texts := make([]string, len(*v.to))
	for i, n := range *v.to {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, ",")
}
