package logfile

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/itchyny/timefmt-go"
)

// conversion is a conversion of strftime(3): its flags and its width, E and O, which have no effect, and its letter, which is empty if the
// format ends before.
var conversion = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?s)%([-_0^#]*[0-9]*)[EO]*(.?)`) })

// conversions are the letters that are known.
const conversions = "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%"

// AppendTime appends t in format to dst. A conversion that is unknown or incomplete is appended
// as it is written.
func AppendTime(dst []byte, format string, t time.Time) []byte {
	return timefmt.AppendFormat(dst, t, withoutEO(format))
}

func withoutEO(format string) string { return conversion().ReplaceAllString(format, "%$1$2") }

// CheckTimeFormat returns an error if format has a conversion that AppendTime does not know. Its text is
// one line that goes on after the name of the format: "has %Q, …".
func CheckTimeFormat(format string) error {
	for _, c := range conversion().FindAllStringSubmatch(format, -1) {
		switch {
		case c[0] == "%":
			return errors.New(`ends with a lone "%"`)
		case c[2] == "":
			return errors.New("ends with an incomplete conversion")
		case !strings.Contains(conversions, c[2]):
			return fmt.Errorf("has %s, which is not a supported strftime conversion", c[0])
		}
	}
	return nil
}
