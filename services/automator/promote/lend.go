package promote

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/render"
	"github.com/slipway-cd/slipway/shared/service"
)

// An Application's document may lie in one repository and its source be another one,
// which is then the one that is written to. The first lends the second its documents and
// the policies that decide for them, as a parcel in a bucket; ADR 3 has the reasons.

// parcel is what one repository lends to another.
type parcel struct {
	documents []lentDocument
	// policies are the paths of rules as the lender's config has them; files has all that
	// is to be read of them.
	policies []service.PolicyPath
	files    fs.FS
	// ruled changes when the rules may.
	ruled string
}

// lentDocument is an Application's document.
type lentDocument struct {
	Cluster string `json:"cluster"`
	Where   string `json:"where"` // file:line in the lender
	Text    []byte `json:"text"`
}

func (d lentDocument) read() ([]found, error) {
	var r rendered
	r.read(render.Object{File: d.Where, Line: 1, Raw: d.Text})
	return r.docs, r.err
}

// name is the application's; ok is false where it can't be read.
func (d lentDocument) name() (name events.Application, ok bool) {
	docs, err := d.read()
	if err != nil || len(docs) != 1 {
		return name, false
	}
	name, err = events.ParseApplication(d.Cluster + "/" + docs[0].app.Metadata.Namespace + "/" + docs[0].app.Metadata.Name)
	return name, err == nil
}

// The entries of a parcel, which is a zip archive.
const (
	documentsEntry = "documents.json"
	policiesEntry  = "policies.json"
	filesFolder    = "files"
)

// pack writes a parcel, the same bytes for the same content. Folders are files without
// content whose names end in a slash.
func pack(documents []lentDocument, policies []service.PolicyPath, files map[string][]byte) ([]byte, error) {
	entries := map[string][]byte{filesFolder + "/": nil}
	for name, data := range files {
		entries[filesFolder+"/"+name] = data
	}
	for name, value := range map[string]any{documentsEntry: documents, policiesEntry: policies} {
		data, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		entries[name] = data
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		w, err := z.Create(name)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(entries[name]); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return out.Bytes(), err
}

// unpack reads a parcel.
func unpack(data []byte) (*parcel, error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	p := &parcel{}
	for name, into := range map[string]any{documentsEntry: &p.documents, policiesEntry: &p.policies} {
		text, err := fs.ReadFile(z, name)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, into); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, f := range z.File {
		if f.Name != documentsEntry {
			p.ruled += fmt.Sprintf("%s %x\n", f.Name, f.CRC32)
		}
	}
	p.files, err = fs.Sub(z, filesFolder)
	return p, err
}

// noted is a file system that keeps what was read of it.
type noted struct {
	fs.FS
	files map[string][]byte
}

func (n *noted) ReadFile(name string) ([]byte, error) {
	data, err := fs.ReadFile(n.FS, name)
	if err == nil {
		n.files[path.Clean(name)] = data
	}
	return data, err
}

func (n *noted) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(n.FS, name) }
func (n *noted) Stat(name string) (fs.FileInfo, error)      { return fs.Stat(n.FS, name) }
func (n *noted) Lstat(name string) (fs.FileInfo, error)     { return fs.Lstat(n.FS, name) }
func (n *noted) ReadLink(name string) (string, error)       { return fs.ReadLink(n.FS, name) }
