package settings

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"fapws/runtime/http1"
	"fapws/runtime/source/static"
)

func switches(positive, negative string) map[string]string {
	return map[string]string{"yes": positive, "true": positive, "on": positive, "1": positive, "no": negative, "false": negative, "off": negative, "0": negative}
}

func onOff(text string) (bool, error) {
	meant := switches("yes", "no")[strings.ToLower(strings.TrimSpace(text))]
	if meant == "" {
		return false, errors.New("yes or no")
	}
	return meant == "yes", nil
}

func yesNo(enabled bool) string {
	if enabled {
		return "yes"
	}
	return "no"
}

// toggle returns the kind of value for a setting that is on or off. Its flag needs no value. If the
// setting is on, the field gets the value yes, and otherwise the opposite value.
func toggle(to *bool, yes bool) *value {
	v := of(to, isBool, func(text string) (bool, error) {
		on, err := onOff(text)
		return on == yes, err
	}, func(x bool) string { return yesNo(x == yes) })
	v.file, v.script = "true or false", "either True or False"
	return v
}

func oneOf[T comparable](to *T, words []string, values ...T) *value {
	v := of(to, isText, func(text string) (x T, err error) {
		i := slices.Index(words, strings.ToLower(strings.TrimSpace(text)))
		if i < 0 {
			return x, errors.New("one of " + strings.Join(words, ", "))
		}
		return values[i], nil
	}, func(x T) string { return words[slices.Index(values, x)] })
	v.words = words
	return v
}

// choice returns the kind of value for a text in words. values contains synonyms in the form "SYNONYM=WORD".
func choice(to *string, words, values []string) *value {
	v := oneOf(to, words, words...)
	v.kind |= isNumber | isBool
	same := map[string]string{}
	for _, one := range values {
		other, meant, _ := strings.Cut(one, "=")
		same[other] = meant
	}
	return v.reads(same)
}

func list[T any](to *[]T, read func(one string) (T, error), show func(T) string) *value {
	v := of(to, isText|isList, func(text string) (values []T, err error) {
		for one := range strings.SplitSeq(text, ",") {
			one = strings.TrimSpace(one)
			if one == "" || strings.ContainsRune(one, 0) {
				return nil, errors.New("names separated by commas, none of them empty")
			}
			x, err := read(one)
			if err != nil {
				return nil, err
			}
			values = append(values, x)
		}
		return values, nil
	}, func(values []T) string { return join(values, ",", show) })
	v.file, v.script = "a string or an array of strings", "a string or a list of strings"
	v.empty = v.clear
	return v
}

func mappings(to *[]static.AccelRoot) *value {
	return list(to, func(one string) (static.AccelRoot, error) {
		prefix, folder, ok := strings.Cut(one, "=")
		if !ok || !strings.HasPrefix(prefix, "/") || !http1.IsCanonicalPrefix(prefix) || folder == "" {
			return static.AccelRoot{}, fmt.Errorf("PREFIX=DIR, such as /private/=/srv/files; not %s", shorten(one))
		}
		return static.AccelRoot{Prefix: prefix, Root: folder}, nil
	}, static.AccelRoot.String)
}

// octal returns the kind of value for a file mode. If word is "", the mode 0 is not allowed. Otherwise this word is
// also allowed, and is stored as -1.
func octal(to *int, word string) *value {
	v := of(to, isText, func(text string) (int, error) {
		if text = strings.TrimSpace(text); text == word && word != "" {
			return -1, nil
		}
		n, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 32)
		if err != nil || n > 0o777 || n == 0 && word == "" {
			return 0, errors.New("an octal number from 0 to 777")
		}
		return int(n), nil
	}, func(mode int) string {
		if mode < 0 {
			return word
		}
		return fmt.Sprintf("%03o", mode)
	})
	v.arg, v.file = "MODE", `an octal number in quotes, such as "027"`
	return v
}

// brokerURL returns the kind of value for the URL of a broker, which is shown without passwords.
func brokerURL(to *string) *value {
	v := text(to)
	v.show = func() string { return HidePassword(*to) }
	return v
}

var (
	userPassword  = Pattern(`^([^:/]*://[^:@?]*)[^?]*@`)
	queryPassword = Pattern(`([?&][^=&]*password[^=&]*=)[^&]*`)
)

func HidePassword(text string) string {
	text = userPassword().ReplaceAllString(text, "${1}:xxxxx@")
	return queryPassword().ReplaceAllString(text, "${1}xxxxx")
}

func joined(words []string) string { return strings.Join(words, ",") }

func addresses(to *[]string) *value {
	v := of(to, isText|isList, func(text string) (words []string, err error) {
		for one := range strings.SplitSeq(text, ",") {
			a, err := parseAddress(one)
			if err != nil {
				return nil, err
			}
			if slices.Contains(words, a) && !strings.HasSuffix(a, ":0") {
				return nil, fmt.Errorf("a list of different addresses: %s occurs twice", one)
			}
			words = append(words, a)
		}
		return words, nil
	}, func(words []string) string { return strings.ReplaceAll(joined(words), unsetHost+":", "") })
	v.file, v.script = "a string or an array of strings", errNoAddress.Error()
	return v
}

// networks returns the kind of value for a list of IP addresses, networks, and the words "unix" and "*" (see trusted).
func networks(to *[]string) *value {
	v := of(to, isText|isList, func(text string) ([]string, error) {
		all := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
		_, _, err := trusted(all)
		return all, err
	}, joined)
	v.file = "a string or an array of strings"
	v.empty = v.clear
	return v
}

// trusted returns the networks in names, and whether names includes unix sockets.
func trusted(names []string) (prefixes []netip.Prefix, unix bool, err error) {
	for _, one := range names {
		unix = unix || one == "unix" || one == "*"
		if one == "unix" {
			continue
		}
		networks, err := ParseNetworks(one, "*")
		if err != nil {
			return nil, false, fmt.Errorf("IP addresses, networks such as 10.0.0.0/8, unix or *, not %s", shorten(one))
		}
		prefixes = append(prefixes, networks...)
	}
	return prefixes, unix, nil
}

// ParseNetworks parses an address or a network. If text equals all, the result contains all addresses. IPv4 addresses
// in IPv6 notation are converted to IPv4.
func ParseNetworks(text, list string) ([]netip.Prefix, error) {
	if text == list {
		return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}, nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		addr, err := netip.ParseAddr(text)
		addr = addr.Unmap()
		return []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen())}, err
	}
	if a := network.Addr(); a.Is4In6() && network.Bits() >= 96 {
		network = netip.PrefixFrom(a.Unmap(), network.Bits()-96)
	}
	return []netip.Prefix{network.Masked()}, nil
}

// IsTarget reports whether s is a valid target for a GET request: "/path", or "http://host/path" to set the field Host.
func IsTarget(s string) bool {
	host, path := "localhost", s
	if rest, named := strings.CutPrefix(s, "http://"); named {
		slash := max(strings.IndexByte(rest, '/'), 0)
		host, path = rest[:slash], rest[slash:]
	}
	strange := strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
	return !strange && host != "" && strings.HasPrefix(path, "/")
}

func httpsRedirect(to *string) *value {
	return of(to, isText|isNumber|isBool, func(text string) (string, error) {
		if n, err := strconv.Atoi(text); err == nil && n > 1 && n <= 65535 {
			return strconv.Itoa(n), nil
		}
		on, err := onOff(text)
		if err != nil {
			return "", errors.New("yes, no, or a port from 2 to 65535")
		}
		return yesNo(on), nil
	}, itself)
}
