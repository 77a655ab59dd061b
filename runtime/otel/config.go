package otel

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"fapws/runtime/http1"
	"fapws/runtime/system"
)

// A Config has the values of the environment variables of OpenTelemetry (OTEL_...).
type Config struct {
	URL     *url.URL // where spans are sent
	Port    uint16   // port of the collector
	Sampler http1.Sampler

	header   http.Header
	timeout  time.Duration // time limit of a request to the collector
	gzip     bool
	tls      *tls.Config // nil without TLS
	resource []pair

	delay time.Duration // how long a span waits for more spans, to be sent together
	limit time.Duration // how long a failed request is retried
	queue int           // limit of the waiting spans
	batch int           // limit of the spans in a request
	hosts []string      // the host of URL or, after LookUp, its addresses
}

type pair struct{ key, value string }

// Read reads the environment variables of OpenTelemetry. The result is nil if they disable traces. The error has a line
// for each wrong value. Read also reads the certificates of authorities, because the process may enter a chroot later.
func Read(lookup func(string) (string, bool)) (*Config, error) {
	v := &variables{lookup: lookup}
	if disabled := v.choice("OTEL_SDK_DISABLED", "false", "true"); disabled == "true" {
		return nil, v.err()
	}
	if list := fields(v.get("OTEL_TRACES_EXPORTER")); slices.Contains(list, "none") {
		return nil, v.err()
	} else if len(list) > 0 && !slices.Contains(list, "otlp") && !slices.Contains(list, "otlp_proto_http") {
		v.wrong("OTEL_TRACES_EXPORTER", strings.Join(list, ","), "must be otlp or none")
	}
	c := &Config{
		header:  http.Header{},
		gzip:    v.choice(v.otlp("COMPRESSION"), "none", "gzip") == "gzip",
		timeout: v.milliseconds(v.otlp("TIMEOUT"), 10_000),
		delay:   v.milliseconds("OTEL_BSP_SCHEDULE_DELAY", 5_000),
		limit:   v.milliseconds("OTEL_BSP_EXPORT_TIMEOUT", 30_000),
		queue:   v.number("OTEL_BSP_MAX_QUEUE_SIZE", 2048, 1, 1<<16),
	}
	c.batch = v.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", min(512, c.queue), 1, c.queue)
	if name := v.otlp("PROTOCOL"); v.get(name) != "" && v.get(name) != "http/protobuf" {
		v.wrong(name, v.get(name), "must be http/protobuf, the protocol of port 4318 of a collector")
	}
	if list := v.get("OTEL_PROPAGATORS"); list != "" && !slices.Contains(fields(list), "tracecontext") {
		v.wrong("OTEL_PROPAGATORS", list, "must contain tracecontext, the only one of fapws")
	}
	v.readURL(c)
	v.readHeader(c)
	v.readResource(c)
	v.readSampler(&c.Sampler)
	return c, v.err()
}

type variables struct {
	lookup func(string) (string, bool)
	errs   []error
}

// get returns the value of a variable. An empty variable counts as not set.
func (v *variables) get(name string) string {
	value, _ := v.lookup(name)
	return strings.TrimSpace(value)
}

// otlp returns the name of the variable for traces if it is set, otherwise the name of the variable for all signals.
func (v *variables) otlp(name string) string {
	if own := "OTEL_EXPORTER_OTLP_TRACES_" + name; v.get(own) != "" {
		return own
	}
	return "OTEL_EXPORTER_OTLP_" + name
}

func (v *variables) wrong(name, value, must string) {
	if value != "" {
		quoted := fmt.Sprintf("%.200q", value) // escapes line ends
		name += "=" + quoted[1:len(quoted)-1]
	}
	v.errs = append(v.errs, fmt.Errorf("%s in the environment: %s", name, must))
}

func (v *variables) err() error { return errors.Join(v.errs...) }

// choice returns the value of a variable, which must be one of values.
func (v *variables) choice(name string, values ...string) string {
	value := cmp.Or(v.get(name), values[0])
	if !slices.Contains(values, strings.ToLower(value)) {
		v.wrong(name, value, "must be "+strings.Join(values, " or "))
	}
	return strings.ToLower(value)
}

func (v *variables) number(name string, usual, least, most int) int {
	value := v.get(name)
	if value == "" {
		return usual
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		v.wrong(name, value, fmt.Sprintf("must be a number from %d to %d", least, most))
		return usual
	}
	return n
}

func (v *variables) milliseconds(name string, usual int) time.Duration {
	const day = 24 * 60 * 60 * 1000
	return time.Duration(v.number(name, usual, 1, day)) * time.Millisecond
}

func (v *variables) readURL(c *Config) {
	const own, all, path = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", "v1/traces"
	name, text := own, v.get(own)
	if text == "" {
		name, text = all, strings.TrimSuffix(cmp.Or(v.get(all), "http://localhost:4318"), "/")+"/"+path
	}
	u, err := url.Parse(text)
	usual := map[string]string{"http": "80", "https": "443"}
	if err != nil || usual[u.Scheme] == "" || u.Hostname() == "" {
		v.wrong(name, "", "must be a URL, such as http://localhost:4318") // do not repeat the URL: it may have a password
		return
	}
	port, err := strconv.ParseUint(cmp.Or(u.Port(), usual[u.Scheme]), 10, 16)
	if err != nil || port == 0 {
		v.wrong(name, "", "must have a port from 1 to 65535")
	}
	u.Path = cmp.Or(u.Path, "/")
	c.URL, c.Port, c.hosts = u, uint16(port), []string{u.Hostname()}
	if u.Scheme == "https" {
		v.readAuthorities(c)
	}
}

func (v *variables) readAuthorities(c *Config) {
	name := v.otlp("CERTIFICATE")
	file := v.get(name)
	c.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if file == "" {
		c.tls.RootCAs, _ = x509.SystemCertPool() // if nil, crypto/tls uses the same certificates
		return
	}
	c.tls.RootCAs = x509.NewCertPool()
	if text, err := os.ReadFile(file); err != nil {
		v.wrong(name, file, system.Cause(err).Error())
	} else if !c.tls.RootCAs.AppendCertsFromPEM(text) {
		v.wrong(name, file, "no PEM certificate found")
	}
}

// pairs parses a list such as "a=b,c=d%20e" in the environment variable with the given name. The list may contain
// secrets.
func (v *variables) pairs(name string) (list []pair) {
	for _, one := range fields(v.get(name)) {
		key, value, ok := strings.Cut(one, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		decoded, err := url.PathUnescape(value)
		if !ok || key == "" || err != nil {
			v.wrong(name, "", "must be a list such as key=value,other=value, percent-encoded")
			return nil
		}
		list = append(list, pair{key, decoded})
	}
	return list
}

// fields splits a list at its commas.
func fields(list string) (words []string) {
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one != "" {
			words = append(words, one)
		}
	}
	return words
}

func (v *variables) readHeader(c *Config) {
	name := v.otlp("HEADERS")
	for _, one := range v.pairs(name) {
		if !httpguts.ValidHeaderFieldName(one.key) || !httpguts.ValidHeaderFieldValue(one.value) {
			v.wrong(name, "", "must be names and values of header fields")
			return
		}
		c.header.Set(one.key, one.value)
	}
}

func (v *variables) readResource(c *Config) {
	service := v.get("OTEL_SERVICE_NAME")
	for _, one := range v.pairs("OTEL_RESOURCE_ATTRIBUTES") {
		if one.key != "service.name" {
			c.resource = append(c.resource, one)
		} else if service == "" {
			service = one.value
		}
	}
	c.resource = append(c.resource, pair{"service.name", cmp.Or(service, "unknown_service:fapws")})
}

func (v *variables) readSampler(s *http1.Sampler) {
	const name, arg = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
	kind := v.choice(name, "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio", "always_on",
		"always_off", "traceidratio")
	kind, s.ByParent = strings.CutPrefix(kind, "parentbased_")
	switch kind {
	case "always_on":
		s.Share = http1.WholeShare
	case "traceidratio":
		text := cmp.Or(v.get(arg), "1")
		share, err := strconv.ParseFloat(text, 64)
		if err != nil || !(share >= 0 && share <= 1) {
			v.wrong(arg, text, "must be a number from 0 to 1")
			return
		}
		s.Share = uint64(share * http1.WholeShare)
	}
}

// LookUp resolves the name of the collector. Later connections use the addresses that LookUp has found, because the
// process enters a chroot, which may have no DNS.
func (c *Config) LookUp(ctx context.Context) error {
	addresses, err := net.DefaultResolver.LookupHost(ctx, c.URL.Hostname())
	if err != nil {
		return fmt.Errorf("otel: the address of the collector %s is not known: %w", c.URL.Hostname(), err)
	}
	c.hosts = addresses
	return nil
}
