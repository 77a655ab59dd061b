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
	// HOST:PORT of the broker, of its sentinels or of nodes of a cluster, or the path of a Unix socket
	hosts    []string
	master   string // the name of the broker among its sentinels; empty without sentinels
	cluster  bool
	network  string // "tcp" or "unix"
	tls      bool
	user     string
	password string
	secret   string // the password of the sentinels
	db       int
	prefix   string
	shown    string
}

func (a *BrokerAddress) String() string { return a.shown }

// key returns the name of a key. Its braces keep all keys on one node of a cluster.
func (a *BrokerAddress) key(name string) string { return "{" + a.prefix + "}:" + name }

var (
	errURL = errors.New("redis://HOST:PORT/DB, rediss:// for TLS, unix:///SOCKET, " +
		"redis+sentinel://HOST:PORT,HOST:PORT/NAME or redis+cluster://HOST:PORT,HOST:PORT, with ?prefix=NAME")
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
	} else if single, is := strings.CutSuffix(scheme, "+cluster"); is {
		err = a.parseCluster(single, rest, values)
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

// parseCluster parses a URL that lists nodes of a Redis cluster: redis+cluster://[user:password@]host:port,host:port.
// One of them must answer when the server starts; it names the other nodes.
func (a *BrokerAddress) parseCluster(scheme, rest string, values url.Values) error {
	login, hosts, err := splitHosts(strings.TrimSuffix(rest, "/"), "6379")
	if err != nil || scheme == "unix" {
		return errURL
	}
	if err = a.parseSingle(scheme, login+"cluster", values); err != nil || a.db != 0 {
		return errURL // a cluster has no databases
	}
	a.hosts, a.cluster = hosts, true
	return nil
}

// splitHosts splits the text user:password@host:port,host into the login, which ends with @ if it is not empty, and the
// hosts with their ports.
func splitHosts(text, port string) (login string, hosts []string, err error) {
	at := strings.LastIndexByte(text, '@') + 1
	hosts = strings.Split(text[at:], ",")
	for i, host := range hosts {
		if host == "" || strings.Contains(host, "/") {
			return "", nil, errURL
		}
		if _, _, err := net.SplitHostPort(host); err != nil {
			hosts[i] = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
	}
	return text[:at], hosts, nil
}

// parseSentinels parses a URL that lists Redis sentinels:
// redis+sentinel://[user:password@]host:port,host:port/name[/db]. The password in the URL is for the Redis server; the
// query parameter sentinel_password is for the sentinels.
func (a *BrokerAddress) parseSentinels(scheme, rest string, values url.Values) error {
	login, name := "", ""
	if at := strings.LastIndexByte(rest, '@') + 1; at > 0 {
		login, rest = rest[:at], rest[at:]
	}
	rest, name, _ = strings.Cut(rest, "/")
	name, db, _ := strings.Cut(name, "/")
	_, addresses, err := splitHosts(rest, "26379")
	if err != nil || name == "" || scheme == "unix" {
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
