package static

import "bytes"

// coding is a content coding in which a file may lie beside the original.
type coding uint8

// The codings, the one that is preferred among equals last.
const (
	identity coding = iota
	gzipped
	brotli
	codings
)

// suffixes are what is appended to a file's name to find a variant.
var suffixes = [codings]string{"", ".gz", ".br"}

// codingNames are what Content-Encoding calls them.
var codingNames = [codings]string{"", "gzip", "br"}

// chooseCoding chooses among the codings there are, by the client's
// preferences: the highest weight; among equals brotli, then gzip. identity is
// sent when nothing else is acceptable, and also when the client refuses even
// that (RFC 9110 §12.5.3 leaves it to us, and a 406 would help nobody).
func chooseCoding(req *Request, has *[codings]bool) coding {
	if !has[gzipped] && !has[brotli] {
		return identity
	}
	const unset = -1
	weights := [codings]int{unset, unset, unset}
	others := unset // weight of "*"
	anyField(req, "accept-encoding", func(value []byte) bool {
		for len(value) > 0 {
			var item []byte
			item, value, _ = bytes.Cut(value, []byte{','})
			name, weight := parseWeighted(item)
			switch {
			case equalFold(name, "br"):
				weights[brotli] = weight
			case equalFold(name, "gzip"), equalFold(name, "x-gzip"): // RFC 9110 §8.4.1.3
				weights[gzipped] = weight
			case equalFold(name, "identity"):
				weights[identity] = weight
			case string(name) == "*":
				others = weight
			}
		}
		return false
	})
	best, bestWeight := identity, weights[identity]
	if bestWeight < 0 {
		bestWeight = 0 // acceptable, and the last choice
	}
	for c := gzipped; c < codings; c++ {
		weight := weights[c]
		if weight == unset {
			weight = others
		}
		if has[c] && weight > 0 && weight >= bestWeight {
			best, bestWeight = c, weight
		}
	}
	return best
}

// parseWeighted splits "name;q=0.5" into its name and its weight in
// thousandths (RFC 9110 §12.4.2). A weight that is not one refuses: what we
// cannot read we do not send.
func parseWeighted(item []byte) (name []byte, weight int) {
	name, params, found := bytes.Cut(item, []byte{';'})
	name = trimSpace(name)
	weight = 1000
	for found {
		var param []byte
		param, params, found = bytes.Cut(params, []byte{';'})
		param = trimSpace(param)
		if len(param) >= 2 && param[0]|0x20 == 'q' && param[1] == '=' {
			weight = parseWeight(param[2:])
		}
	}
	return name, weight
}

// parseWeight reads a qvalue: 0 to 1 with up to three decimals.
func parseWeight(s []byte) int {
	if len(s) == 0 || len(s) > 5 || s[0] != '0' && s[0] != '1' || len(s) > 1 && s[1] != '.' {
		return 0
	}
	weight, scale := int(s[0]-'0')*1000, 100
	for i := 2; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0
		}
		weight += int(s[i]-'0') * scale
		scale /= 10
	}
	return min(weight, 1000)
}

func equalFold(name []byte, lower string) bool {
	return len(name) == len(lower) && sameName(name, lower)
}

// trimSpace removes optional whitespace (RFC 9110 §5.6.3).
func trimSpace(s []byte) []byte { return bytes.Trim(s, " \t") }
