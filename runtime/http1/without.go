package http1

// AppendWithout appends head, which r was parsed from, to dst: without the fields that drop is true for, and without the empty line behind
// them. r then refers to the appended bytes, but for HeadLen. dst may not be in the memory of head.
func (r *Request) AppendWithout(dst, head []byte, drop func(Field) bool) []byte {
	if len(r.Fields) == 0 {
		return append(dst, head[:r.HeadLen-len("\r\n")]...)
	}
	at := len(dst)
	dst = append(dst, head[:r.Fields[0].Name.Off]...)
	fields := r.Fields[:0]
	for _, f := range r.Fields {
		if drop(f) {
			continue
		}
		moved := f.Name.Off - uint32(len(dst)-at)
		dst = append(append(dst, head[f.Name.Off:f.Value.Off+f.Value.Len]...), "\r\n"...)
		for _, span := range [...]*Span{&r.Host, &r.UpgradeTo} {
			if span.Len > 0 && *span == f.Value {
				span.Off -= moved
			}
		}
		f.Name.Off -= moved
		f.Value.Off -= moved
		fields = append(fields, f)
	}
	r.Fields = fields
	return dst
}
