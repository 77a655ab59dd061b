package static

import (
	"io/fs"
)

// Send answers with the file that a name below the root means to the file
// system: hidden names and ".." are names like others (os.Root keeps them
// inside), and there are no variants, as the names are not the client's but
// those of an application, in whose folder x and x.gz may be two things.
// mediaType "" is found by name. Nothing is filled in when there is an error.
//
// Any goroutine may call it; it may wait for the disk.
func (f *Files) Send(name, mediaType string, req *Request, out *Response) error {
	file, err := f.root.at(f.clock()).openAny(name)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && (!info.Mode().IsRegular() || f.opt.Private.has(info)) {
		err = fs.ErrNotExist
	}
	if err != nil {
		file.Close()
		return err
	}
	if mediaType == "" {
		mediaType = f.types.of(name)
	}
	fields := readFields(req)
	r := newRepresentation(description{name: name, mediaType: mediaType}, stampOf(info), f.wall())
	open := newOpenFile(file)
	r.answer(req, &fields, out, open)
	open.release()
	return nil
}
