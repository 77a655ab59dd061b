package pool

// A worker may ask the supervisor, too: what its status page shows is about all workers.

// query answers a worker, on a goroutine of its own: the answer may take questions to all workers.
func (p *Pool) query(w *worker, m *Message) {
	if p.o.Query == nil || w.querying == maxQueries {
		w.sendReply(m.ID, "")
		return
	}
	w.querying++
	go func() {
		text := p.o.Query(m.Text)
		p.post(func() {
			w.querying--
			w.sendReply(m.ID, text)
		})
	}()
}

// sendReply sends an answer in as many pieces as it takes.
func (w *worker) sendReply(id uint64, text string) {
	for len(text) > maxPiece {
		w.send(&Message{Kind: Replied, ID: id, Text: text[:maxPiece], More: true})
		text = text[maxPiece:]
	}
	w.send(&Message{Kind: Replied, ID: id, Text: text})
}

// farewell takes a piece of what w has to tell before it ends.
func (p *Pool) farewell(w *worker, m *Message) {
	if !w.believes("last words", w.farewell, m.Text, maxText) {
		return
	}
	w.farewell += m.Text
	if m.More {
		return
	}
	if p.o.Farewell != nil {
		p.o.Farewell(w.pid, w.farewell)
	}
	w.farewell = ""
}
