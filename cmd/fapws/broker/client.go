package broker

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/logfile"
)

const (
	// connectWithin bounds the first connection.
	connectWithin = 10 * time.Second

	// answerWithin bounds each request but those that wait for events.
	answerWithin = 5 * time.Second

	// readFor is how long a request waits for events.
	readFor = 5 * time.Second

	// againAfter and againAtMost are the pauses while the broker is away.
	againAfter  = 100 * time.Millisecond
	againAtMost = 2 * time.Second

	// muchWaiting is how many bytes may wait before publishers are delayed, and mostWaiting before events are lost.
	muchWaiting = 16 << 20
	mostWaiting = 64 << 20

	// together is how many batches leave at once, and togetherBytes how many bytes of them but for a single one: on a slow line they have
	// to arrive within answerWithin.
	together      = 64
	togetherBytes = 256 << 10

	// mostOwn bounds the batches that were added and not read: reading may fail alone.
	mostOwn = 100_000
)

// Client is the connection of a server to a broker. It implements pool.Broker.
type Client struct {
	redis   redis.UniversalClient
	keys    []string // of addScript, without that of the node
	shown   string
	node    string // the name of this server among others
	epoch   string
	log     func(logfile.Level, string)
	ctx     context.Context // until Close
	cancel  context.CancelFunc
	ends    sync.WaitGroup
	deliver func(pool.Batch)
	last    string // id of the last entry that was read; of read, as the two below
	old     string // id up to which entries with numbers that were read are not new: see rewind
	unsure  bool   // the broker may have lost the last entry
	warned  bool   // of entries that fapws did not write

	full bool // the broker has dropped events to make room; of write

	mu      sync.Mutex
	seq     uint64 // the highest number that was read
	sent    uint64 // batches that were given their count
	waiting []batch
	own     []batch       // without their events: those that were not read yet, at most mostOwn
	bytes   int           // of waiting
	events  int           // in waiting
	waited  int           // events that have waited; of this outage
	lost    int           // events that found no room; of this outage
	losses  int           // of all
	news    chan struct{} // something waits
	away    time.Time     // since when the broker is away; zero: it is there
	failing [2]bool       // in which direction
}

// direction is one of the two uses of a broker. One may fail alone: a broker that is full, or only a copy of another one, is still read from.
type direction uint8

const (
	reading direction = iota
	writing
)

// batch is a pool.Batch that waits.
type batch struct {
	pool.Batch
	count uint64
}

// Connect connects to a broker. Its error is a line for the user. With the epoch of an earlier Client, whose events go on, it does not wait
// for the broker, which may be away.
func Connect(a *Address, epoch string, log func(logfile.Level, string)) (*Client, error) {
	quiet()
	o := *a.options
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = answerWithin, answerWithin, answerWithin
	o.MaxRetries = -1
	o.PoolSize, o.MinIdleConns = 3, 0
	o.ContextTimeoutEnabled = true
	c := &Client{redis: redis.NewUniversalClient(&o), keys: []string{"{" + a.prefix + "}:state", "{" + a.prefix + "}:events"}, shown: a.String(), node: rand.Text(), epoch: epoch, log: log,
		news: make(chan struct{}, 1)}
	c.keys = append(c.keys, "{"+a.prefix+"}:sent:"+c.node)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if epoch != "" {
		return c, nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, connectWithin)
	defer cancel()
	if err := c.begin(ctx); err != nil {
		why := reason(err)
		if o.MasterName != "" {
			why = cmp.Or(askSentinels(ctx, &o), why)
		}
		c.cancel()
		c.redis.Close()
		return nil, fmt.Errorf("channels: cannot reach %s: %s", c.shown, why)
	}
	return c, nil
}

// quiet keeps go-redis from writing lines of its own; errors come as results.
var quiet = sync.OnceFunc(func() { redis.SetLogger(discard{}) })

type discard struct{}

func (discard) Printf(context.Context, string, ...any) {}

// begin agrees with other servers on the epoch, and finds out whether it may add events: those of no batch are there.
func (c *Client) begin(ctx context.Context) error {
	own := strconv.FormatInt(time.Now().UnixMilli(), 36)
	if err := c.redis.HSetNX(ctx, c.keys[0], "epoch", own).Err(); err != nil {
		return err
	}
	var err error
	if c.epoch, err = c.redis.HGet(ctx, c.keys[0], "epoch").Result(); err != nil {
		return err
	}
	if !isEpoch(c.epoch) { // it is part of all ids
		return fmt.Errorf("the epoch in %s is not one of fapws: %.40q; delete the key, or choose another ?prefix=", c.keys[0], c.epoch)
	}
	return c.add([]batch{{}}, 0)
}

// String implements pool.Broker.
func (c *Client) String() string { return c.shown }

// Epoch implements pool.Broker.
func (c *Client) Epoch() string { return c.epoch }

// isEpoch reports whether a text may be an epoch: a number with digits and letters.
func isEpoch(text string) bool {
	_, err := strconv.ParseUint(text, 36, 63)
	return err == nil && strings.ToLower(text) == text
}

// Start implements pool.Broker.
func (c *Client) Start(from pool.Place, deliver func(pool.Batch)) (pool.Place, error) {
	if from.Entry == "" {
		var err error
		if from, err = c.tip(); err != nil {
			return from, fmt.Errorf("channels: %s: %s", c.shown, reason(err))
		}
	}
	c.deliver, c.last, c.seq, c.unsure = deliver, from.Entry, from.Seq, true
	c.ends.Add(2)
	go c.read()
	go c.write()
	return from, nil
}

// tip returns the place behind all that was published.
func (c *Client) tip() (pool.Place, error) {
	ctx, cancel := context.WithTimeout(c.ctx, connectWithin)
	defer cancel()
	at := pool.Place{Entry: noEntry}
	var err error
	if at.Seq, err = c.lastNumber(ctx); err != nil { // first: entries between the two must have larger numbers
		return at, err
	}
	entries, err := c.redis.XRevRangeN(ctx, c.keys[1], "+", "-", 1).Result()
	if len(entries) > 0 {
		at.Entry = entries[0].ID
	}
	return at, err
}

// lastNumber returns the last number that any server has given to an event; 0: none, or it is unknown.
func (c *Client) lastNumber(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	text, err := c.redis.HGet(ctx, c.keys[0], "seq").Result()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	seq, wrong := strconv.ParseUint(text, 10, 64)
	if err == nil && (wrong != nil || seq > maxSeq) {
		return 0, nil // addScript makes another one
	}
	return seq, err
}

// reason returns an error of the broker as a user needs it.
func reason(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case isLogin(err):
		return err.Error() + " (give redis://USER:PASSWORD@HOST, or redis://:PASSWORD@HOST without a user)"
	}
	return process.ExitPlain(err).Error()
}

// isLogin reports whether the user or the password is the reason of an error.
func isLogin(err error) bool {
	return redis.HasErrorPrefix(err, "WRONGPASS") || redis.HasErrorPrefix(err, "NOAUTH") || redis.HasErrorPrefix(err, "NOPERM")
}

// failed notes that the broker is away, and tells the publishers that wait for it.
func (c *Client) failed(in direction, err error) {
	for _, one := range c.leave(in, err) {
		c.deliver(one)
	}
}

// leave is failed; it returns the last message of each publisher whose events were not read yet.
func (c *Client) leave(in direction, err error) (open []pool.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing[in] = true
	if !c.away.IsZero() || c.ctx.Err() != nil {
		return nil
	}
	c.away = time.Now()
	c.log(logfile.Error, fmt.Sprintf("channels: %s is away (%s); events wait for it, up to %d MB", c.shown, reason(err), mostWaiting>>20))
	last := make(map[int]uint64)
	for _, one := range c.own {
		last[one.Publisher] = one.ID
	}
	for publisher, id := range last {
		open = append(open, pool.Batch{ID: id, Publisher: publisher})
	}
	return open
}

// answered notes that the broker is there, unless the other direction fails.
func (c *Client) answered(in direction) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing[in] = false
	if c.away.IsZero() {
		return
	}
	if c.waited = max(c.waited, c.events); c.failing[1-in] {
		return
	}
	line := fmt.Sprintf("channels: %s is back after %v; %s waited", c.shown, time.Since(c.away).Round(100*time.Millisecond), pool.Count(c.waited, "event"))
	level := logfile.Info
	if c.lost > 0 {
		line += fmt.Sprintf(", %s found no room and are lost", pool.Count(c.lost, "event"))
		level = logfile.Error
	}
	c.log(level, line)
	c.away, c.waited, c.lost = time.Time{}, 0, 0
}

// pause waits before the broker is tried once more. It returns false after Close.
func (c *Client) pause(d *time.Duration) bool {
	*d = min(max(2**d, againAfter), againAtMost)
	select {
	case <-time.After(*d):
		return true
	case <-c.ctx.Done():
		return false
	}
}

// State is how a Client is.
type State struct {
	Away    time.Duration // how long the broker has been away; 0: it is there
	Waiting int           // events that wait for it
	Lost    int           // events that found no room, since the start
}

// State returns how c is.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := State{Waiting: c.events, Lost: c.losses}
	if !c.away.IsZero() {
		s.Away = max(1, time.Since(c.away))
	}
	return s
}

// Away implements pool.Broker.
func (c *Client) Away() bool { return c.State().Away > 0 }

// Close implements pool.Broker.
func (c *Client) Close(limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end) && !c.Idle(); {
		time.Sleep(10 * time.Millisecond)
	}
	if s := c.State(); s.Waiting > 0 {
		c.log(logfile.Error, fmt.Sprintf("channels: %s had no answer for %s, which are lost", c.shown, pool.Count(s.Waiting, "event")))
	}
	c.cancel()
	_ = c.redis.Close()
	c.ends.Wait()
}

var _ pool.Broker = (*Client)(nil)

// Address is where a broker is, and the prefix of its keys.
type Address struct {
	options *redis.UniversalOptions
	prefix  string
	shown   string // without a password
}

// String returns the URL without a password.
func (a *Address) String() string { return a.shown }

var (
	errURL    = errors.New("redis://HOST:PORT/DB, rediss:// for TLS, unix:///SOCKET, or redis+sentinel://HOST:PORT,HOST:PORT/NAME, with ?prefix=NAME")
	prefixIs  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`) })
	sentinels = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(redis|rediss|valkey|valkeys)\+sentinel$`) })
)

// Parse reads the URL of a broker. Its error says how URLs look; its text follows "must be ".
func Parse(text string) (*Address, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || strings.ContainsAny(text, " \r\n\x00") {
		return nil, errURL
	}
	a := &Address{prefix: "fapws", shown: settings.HidePassword(text)}
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
	if sentinels().MatchString(scheme) {
		err = a.parseSentinels(scheme, rest, values)
	} else {
		err = a.parseSingle(scheme, rest, values)
	}
	if err != nil {
		return nil, errURL
	}
	return a, nil
}

// parseSingle reads the URL of one server. Its query may have the options of go-redis.
func (a *Address) parseSingle(scheme, rest string, values url.Values) error {
	text := strings.Replace(scheme, "valkey", "redis", 1) + "://" + rest
	if len(values) > 0 {
		text += "?" + values.Encode()
	}
	o, err := redis.ParseURL(text)
	if err != nil {
		return err
	}
	a.options = &redis.UniversalOptions{Addrs: []string{o.Addr}, Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig}
	return nil
}

// parseSentinels reads the URL of sentinels: redis+sentinel://[user:password@]host:port,host:port/name[/db]. The password is that of
// the server; ?sentinel_password= is theirs.
func (a *Address) parseSentinels(scheme, rest string, values url.Values) error {
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
	scheme, _, _ = strings.Cut(scheme, "+")
	if err := a.parseSingle(scheme, login+"sentinel/"+db, values); err != nil {
		return err
	}
	a.options.Addrs, a.options.MasterName, a.options.SentinelPassword = addresses, name, secret
	return nil
}

// askSentinels returns why sentinels do not tell where the master is, or "" if one of them does: go-redis keeps that to itself.
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
	s := redis.NewSentinelClient(&redis.Options{Addr: address, Password: o.SentinelPassword, TLSConfig: o.TLSConfig, MaxRetries: -1,
		DialTimeout: answerWithin, ReadTimeout: answerWithin, WriteTimeout: answerWithin})
	defer s.Close()
	return s.GetMasterAddrByName(ctx, o.MasterName).Err()
}
