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

// Questions of a supervisor to its workers (pool.Pool.Ask). Every other question is a ctl.Command, answered by a
// ctl.Answer in JSON. The command Purge is followed by a space and a pattern in JSON.
const (
	AskAlive = "alive" // Alive, if the event loop runs

	Alive = "yes"
)

// QueryCurrent asks the supervisor to answer when the current files of the application have loaded or have failed to
// load.
const QueryCurrent = "current"

// AnswerWithin is how long a supervisor waits for the answers of its workers.
const AnswerWithin = stackWait + time.Second

// Between processes, a broadcast is an event whose channel is placeMark and the place of the WebSocket, which is not a
// valid name of a channel, and whose id is the group.
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

// eachEvent calls f with the events of a message and their numbers. eachEvent ignores events beyond the number that the
// sending worker announced to the supervisor, because these would get the numbers of other events.
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

// query asks the supervisor a question. query must not be called on the goroutine of listen, nor on the loop.
func (p *Parent) query(ctx context.Context, what string) (string, error) {
	answer := p.questions.Ask(ctx, pool.Message{Kind: pool.Ask, Text: what}, p.tell)
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

const mostPurges = 4096 // above this number, all pages are purged

func (r *relay) purge(p cache.Pattern) {
	if r.channel == nil {
		return
	}
	if text, err := json.Marshal(p); err == nil {
		r.purges.Add(string(text))
	}
}

func (r *relay) sendPurges(patterns []string) {
	slices.Sort(patterns)
	patterns = slices.Compact(patterns)
	if len(patterns) > mostPurges {
		patterns = []string{`{"path":"*"}`}
	}
	for _, text := range patterns {
		_ = r.channel.Send(&pool.Message{Kind: pool.Purge, Text: text}) // listen notices the end of the channel
	}
}

func cacheOf(server *runtime.Server) *ctl.Cache {
	st, ok := server.CacheStats()
	if !ok {
		return nil
	}
	return &ctl.Cache{
		Entries: st.Entries, Bytes: st.Bytes, Limit: st.Most,
		Hits: st.Hits + st.Waited, Stale: st.Stale, Misses: st.Misses, Revalidated: st.Revalidated,
		Bypassed: st.Bypassed,
	}
}

// QueryUploads asks the supervisor about uploads in the other workers. QueryUploads is followed by a space and a
// question of upload.Group. The answer is a list in JSON: the answers of the workers to AskUploads with this question.
const (
	QueryUploads = "uploads"
	AskUploads   = "uploads"
)

// UploadsWithin limits the wait for the answers of the workers. The answer of a busy worker is omitted.
const UploadsWithin = time.Second

func (p *Parent) uploads(question string) (answers []string) {
	ctx, cancel := context.WithTimeout(context.Background(), UploadsWithin+time.Second)
	defer cancel()
	text, err := p.query(ctx, QueryUploads+" "+question)
	if err == nil {
		_ = json.Unmarshal([]byte(text), &answers) // a supervisor of another version sends no list
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

// certificates asks the supervisor to read certificates, because this process may not be allowed to read the keys.
func (p *Parent) certificates(w *certificates.Want) (*certificates.Bundle, error) {
	text, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	// if the channel ends, listen ends this process
	m := p.questions.Ask(context.Background(), pool.Message{Kind: pool.Certificates, Raw: text}, p.tell)
	if m.Text != "" {
		return nil, errors.New(m.Text)
	}
	b := new(certificates.Bundle)
	return b, json.Unmarshal(m.Raw, b)
}

func (p *Parent) takeCertificates(m *pool.Message) {
	b := new(certificates.Bundle)
	if err := json.Unmarshal(m.Raw, b); err != nil {
		p.s.log.Log(logfile.Error, fmt.Sprintf("certificates from the supervisor: %v", err))
		return
	}
	p.s.https.renew(b)
}
