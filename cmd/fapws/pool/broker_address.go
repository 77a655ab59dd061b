package pool

import (
	"errors"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"fapws/cmd/fapws/settings"
)

type BrokerAddress struct {
	hosts    []string // HOST:PORT of the broker or of its sentinels, or the path of a Unix socket
	master   string   // the name of the broker among its sentinels; empty without sentinels
	network  string   // "tcp" or "unix"
	tls      bool
	user     string
	password string
	secret   string // the password of the sentinels
	db       int
	prefix   string
	shown    string
}

func (a *BrokerAddress) String() string { return a.shown }

var (
	errURL = errors.New("redis://HOST:PORT/DB, rediss:// for TLS, unix:///SOCKET, or " +
		"redis+sentinel://HOST:PORT,HOST:PORT/NAME, with ?prefix=NAME")
	prefixIs = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`) })
)

// The error describes valid URLs, and callers print "must be " before the error.
func ParseBroker(text string) (*BrokerAddress, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || strings.ContainsAny(text, " \r\n\x00") {
		return nil, errURL
	}
	a := &BrokerAddress{prefix: "fapws", network: "tcp", shown: settings.HidePassword(text)}
	rest, query, _ := strings.Cut(rest, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errURL
	}
	if values.Has("prefix") {
		a.prefix = values.Get("prefix")
		values.Del("prefix")
	}
	if !prefixIs().MatchString(a.prefix) {
		return nil, errURL
	}
	if single, is := strings.CutSuffix(scheme, "+sentinel"); is {
		err = a.parseSentinels(single, rest, values)
	} else {
		err = a.parseSingle(scheme, rest, values)
	}
	if err != nil {
		return nil, errURL
	}
	return a, nil
}

func (a *BrokerAddress) parseSingle(scheme, rest string, values url.Values) error {
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil {
		return err
	}
	host, port, path := u.Hostname(), u.Port(), strings.Trim(u.Path, "/")
	switch strings.Replace(scheme, "valkey", "redis", 1) {
	case "redis":
	case "rediss":
		a.tls = true
	case "unix":
		if a.network, path = "unix", ""; u.Path == "" {
			return errURL
		}
	default:
		return errURL
	}
	if host == "" {
		host = "localhost"
	}
	if port == "" {
		port = "6379"
	}
	if a.hosts = []string{net.JoinHostPort(host, port)}; a.network == "unix" {
		a.hosts = []string{u.Path}
	}
	a.user = u.User.Username()
	a.password, _ = u.User.Password()
	if values.Has("db") {
		path = values.Get("db")
		values.Del("db")
	}
	if path != "" {
		if a.db, err = strconv.Atoi(path); err != nil || a.db < 0 {
			return errURL
		}
	}
	if len(values) > 0 {
		return errURL
	}
	return nil
}

// parseSentinels parses a URL that lists Redis sentinels:
// redis+sentinel://[user:password@]host:port,host:port/name[/db]. The password in the URL is for the Redis server; the
// query parameter sentinel_password is for the sentinels.
func (a *BrokerAddress) parseSentinels(scheme, rest string, values url.Values) error {
	login, hosts := "", rest
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		login, hosts = rest[:at+1], rest[at+1:]
	}
	hosts, name, _ := strings.Cut(hosts, "/")
	name, db, _ := strings.Cut(name, "/")
	addresses := strings.Split(hosts, ",")
	for i, host := range addresses {
		if host == "" {
			return errURL
		}
		if _, _, err := net.SplitHostPort(host); err != nil {
			addresses[i] = net.JoinHostPort(strings.Trim(host, "[]"), "26379")
		}
	}
	if name == "" || scheme == "unix" {
		return errURL
	}
	a.secret = values.Get("sentinel_password")
	values.Del("sentinel_password")
	if err := a.parseSingle(scheme, login+"sentinel/"+db, values); err != nil {
		return err
	}
	a.hosts, a.master = addresses, name
	return nil
}
