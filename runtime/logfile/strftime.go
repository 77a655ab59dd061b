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

// conversion matches a conversion of strftime(3): flags, width, a modifier E or O, which has no effect, and a letter,
// which may be missing at the end of the format.
var conversion = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?s)%([-_0^#]*[0-9]*)[EO]*(.?)`) })

const conversions = "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%"

// AppendTime appends t in format to dst. Unknown or incomplete conversions are appended unchanged.
func AppendTime(dst []byte, format string, t time.Time) []byte {
	return timefmt.AppendFormat(dst, t, withoutEO(format))
}

func withoutEO(format string) string { return conversion().ReplaceAllString(format, "%$1$2") }

// CheckTimeFormat returns an error if AppendTime does not support a conversion in format. The error is a line such as
// "has %Q, …", before which the caller puts the name of the format.
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
