package worker

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"fapws/cmd/fapws/certificates"
	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/pool"
	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/logfile"
	"fapws/runtime/source/cache"
)

// The Ask constants are requests that the supervisor sends to workers (pool.Pool.Ask). All other requests from a
// supervisor to a worker are a ctl.Command, and the reply is a ctl.Answer in JSON. After the command Purge, the request
// contains a space and a pattern in JSON.
const (
	AskAlive = "alive" // the reply is Alive if the event loop runs

	Alive = "yes"
)

// AnswerWithin limits how long a supervisor waits for replies from its workers.
const AnswerWithin = stackWait + time.Second

// A broadcast to WebSockets is sent to other processes as an event. Its channel name is placeMark, which no valid
// channel name contains, followed by the place of the WebSocket. The event's id is the group.
const (
	textType   = "text"
	binaryType = "binary"
	placeMark  = "#"
)

func appendEvent(raw []byte, e *pybridge.Event) []byte {
	name, id, kind := e.Name, e.ID, e.Type
	if e.Place != "" {
		name, id, kind = placeMark+e.Place, e.Name, textType
		if e.Binary {
			kind = binaryType
		}
	}
	for _, text := range [...]string{name, id, kind, e.Data} {
		raw = append(binary.AppendUvarint(raw, uint64(len(text))), text...)
	}
	return raw
}

var errEvents = errors.New("cannot read what another worker or a broker has sent")

// eachEvent calls f with each event in m and its number. If m contains more events than its sender has announced,
// eachEvent ignores the excess events, because their numbers belong to different events.
func eachEvent(m *pool.Message, f func(seq uint64, e *pybridge.Event)) error {
	raw := m.Raw
	for i := 0; i < m.N && len(raw) > 0; i++ {
		e, rest, err := cutEvent(raw)
		if err != nil {
			return err
		}
		raw = rest
		f(m.Seq+uint64(i), &e)
	}
	if len(raw) > 0 {
		return errEvents
	}
	return nil
}

func cutEvent(raw []byte) (e pybridge.Event, rest []byte, err error) {
	for _, text := range [...]*string{&e.Name, &e.ID, &e.Type, &e.Data} {
		n, k := binary.Uvarint(raw)
		if k <= 0 || n > uint64(len(raw)-k) {
			return e, nil, errEvents
		}
		*text, raw = string(raw[k:k+int(n)]), raw[k+int(n):]
	}
	if place, is := strings.CutPrefix(e.Name, placeMark); is {
		if place == "" {
			return e, nil, errEvents
		}
		e = pybridge.Event{Place: place, Binary: e.Type == binaryType, Name: e.ID, Data: e.Data}
	}
	return e, raw, nil
}

// query sends a request to the supervisor and returns the reply. query must not be called on the goroutine of the
// method listen or on the event loop.
func (p *Parent) query(ctx context.Context, question string) (string, error) {
	answer := p.questions.Ask(ctx, pool.Message{Kind: pool.Ask, Text: question}, p.tell)
	if answer == nil {
		return "", errors.New("the supervisor does not answer")
	}
	return string(answer.Raw), nil
}

func (r *relay) purgeAll(texts []string) {
	var all []cache.Pattern
	for _, text := range texts {
		p, err := cache.ParsePattern(text)
		if err != nil {
			r.s.log.Log(logfile.Error, fmt.Sprintf("fapws.cache.purge: %v", err))
			continue
		}
		all = append(all, p)
		r.purge(p)
	}
	r.s.server.Purge(all...)
}

const mostPurges = 4096 // if more than this number of purges are queued, all pages are purged instead

func (r *relay) purge(p cache.Pattern) {
	if r.channel != nil {
		r.purges.Add(string(asJSON(p)))
	}
}

func (r *relay) sendPurges(patterns []string) {
	slices.Sort(patterns)
	patterns = slices.Compact(patterns)
	if len(patterns) > mostPurges {
		patterns = []string{`{"path":"*"}`}
	}
	for _, text := range patterns {
		_ = r.channel.Send(&pool.Message{Kind: pool.Purge, Text: text})
	}
}

func cacheOf(server *runtime.Server) *ctl.Cache {
	st, ok := server.CacheStats()
	if !ok {
		return nil
	}
	return &ctl.Cache{
		Entries: st.Entries, Bytes: st.Bytes, Limit: st.Most,
		Hits: st.Hits + st.Waited, Stale: st.Stale, Misses: st.Misses, Revalidated: st.Revalidated, Bypassed: st.Bypassed,
	}
}

// QueryUploads asks the supervisor about uploads in all other workers. In the request, QueryUploads is followed by a
// space and a question from upload.Group. The supervisor sends AskUploads with this question to the workers, and
// replies with a JSON list of the workers' replies.
const (
	QueryUploads = "uploads"
	AskUploads   = "uploads"
)

// UploadsWithin limits how long the supervisor waits for the replies to AskUploads. The list of replies omits workers
// that are too busy to reply in time.
const UploadsWithin = time.Second

func (p *Parent) uploads(question string) (answers []string) {
	ctx, cancel := context.WithTimeout(context.Background(), UploadsWithin+time.Second)
	defer cancel()
	text, err := p.query(ctx, QueryUploads+" "+question)
	if err == nil {
		// after an error, answers is empty: a supervisor of a different version sends no list
		_ = json.Unmarshal([]byte(text), &answers)
	}
	return answers
}

func (p *Parent) ask(ctx context.Context, c ctl.Command) (a ctl.Answer, err error) {
	text, err := p.query(ctx, string(c))
	if err == nil && json.Unmarshal([]byte(text), &a) != nil {
		err = errors.New("the supervisor does not know the status page: stop the server and start the new version")
	}
	return a, err
}

// certificates requests certificates from the supervisor, because this process may lack the permission to read the
// keys.
func (p *Parent) certificates(w *certificates.Want) (*certificates.KeySet, error) {
	// Background is sufficient: if the channel ends, the method listen ends this process
	m := p.questions.Ask(context.Background(), pool.Message{Kind: pool.Certificates, Raw: asJSON(w)}, p.tell)
	if m.Text != "" {
		return nil, errors.New(m.Text)
	}
	b := new(certificates.KeySet)
	return b, json.Unmarshal(m.Raw, b)
}

func (p *Parent) takeCertificates(m *pool.Message) {
	b := new(certificates.KeySet)
	if err := json.Unmarshal(m.Raw, b); err != nil {
		p.s.log.Log(logfile.Error, fmt.Sprintf("certificates from the supervisor: %v", err))
		return
	}
	p.s.https.renew(b)
}
