package metrics

import "strings"

// Bounds of what Sound returns.
const (
	mostFamilies = 1000
	mostSeries   = 20_000 // of all families together
)

// Sound returns the families that Merge and the text formats can take, as another process may have sent anything: those whose names,
// labels and buckets are well formed, up to 1,000 families and 20,000 series. It may change the slices of families.
func Sound(families []Family) (sound []Family) {
	left := mostSeries
	for _, f := range families {
		if len(sound) == mostFamilies || !f.sound() {
			continue
		}
		f.Series = f.Series[:min(left, len(f.Series))]
		left -= len(f.Series)
		sound = append(sound, f)
	}
	return sound
}

func (f *Family) sound() bool {
	switch f.Kind {
	case Counter, Gauge, Histogram:
	default:
		return false
	}
	buckets := 0
	if f.Kind == Histogram {
		buckets = len(f.Bounds) + 1
	}
	if !isName(f.Name) || f.Unit != "" && !isName(f.Unit) || buckets > mostFamilies {
		return false
	}
	for i := range f.Series {
		if s := &f.Series[i]; len(s.Counts) != buckets || !areLabels(s.Labels) {
			return false
		}
	}
	return true
}

// isName reports whether text can be the name of a metric, or of a label.
func isName(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':':
		case i > 0 && c >= '0' && c <= '9':
		default:
			return false
		}
	}
	return text != ""
}

// areLabels reports whether text is as Labels makes it.
func areLabels(text string) bool {
	for more := text != ""; more; {
		name, rest, ok := strings.Cut(text, `="`)
		if !ok || !isName(name) {
			return false
		}
		end := 0
		for end < len(rest) && rest[end] != '"' && rest[end] != '\n' {
			if rest[end] == '\\' && end+1 < len(rest) && rest[end+1] != '\n' {
				end++
			}
			end++
		}
		if end >= len(rest) || rest[end] != '"' {
			return false
		}
		text, more = strings.CutPrefix(rest[end+1:], ",")
		if !more && text != "" {
			return false
		}
	}
	return true
}
