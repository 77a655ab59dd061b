package pool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"fapws/cmd/fapws/settings"
)

type BrokerAddress struct {
	options *redis.UniversalOptions
	prefix  string
	shown   string
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
	a := &BrokerAddress{prefix: "fapws", shown: settings.HidePassword(text)}
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
	text := strings.Replace(scheme, "valkey", "redis", 1) + "://" + rest
	if len(values) > 0 {
		text += "?" + values.Encode()
	}
	o, err := redis.ParseURL(text)
	if err != nil {
		return err
	}
	a.options = &redis.UniversalOptions{Addrs: []string{o.Addr}, Username: o.Username, Password: o.Password, DB: o.DB,
		TLSConfig: o.TLSConfig}
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
	if name == "" {
		return errURL
	}
	secret := values.Get("sentinel_password")
	values.Del("sentinel_password")
	if err := a.parseSingle(scheme, login+"sentinel/"+db, values); err != nil {
		return err
	}
	a.options.Addrs, a.options.MasterName, a.options.SentinelPassword = addresses, name, secret
	return nil
}

// askSentinels returns the reason why no sentinel knows the master, or "" if at least one sentinel knows the master.
// The package go-redis does not report the reason.
func askSentinels(ctx context.Context, o *redis.UniversalOptions) string {
	var reasons []string
	for _, address := range o.Addrs {
		err := askSentinel(ctx, o, address)
		switch {
		case err == nil:
			return ""
		case errors.Is(err, redis.Nil):
			err = fmt.Errorf("unknown master %q", o.MasterName)
		case isLogin(err):
			err = fmt.Errorf("%w (give ?sentinel_password=)", err)
		}
		reasons = append(reasons, fmt.Sprintf("sentinel %s: %s", address, err))
	}
	return strings.Join(reasons, "; ")
}

func askSentinel(ctx context.Context, o *redis.UniversalOptions, address string) error {
	s := redis.NewSentinelClient(&redis.Options{Addr: address, Password: o.SentinelPassword, TLSConfig: o.TLSConfig,
		MaxRetries: -1, DialTimeout: answerWithin, ReadTimeout: answerWithin, WriteTimeout: answerWithin})
	defer s.Close()
	return s.GetMasterAddrByName(ctx, o.MasterName).Err()
}
