package migrate_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/services/slipway/migrate"
	"github.com/slipway-cd/slipway/shared/api"
)

// Whatever a file holds, a reader ends, and what it writes is right.
func FuzzReaders(f *testing.F) {
	for name := range readers {
		err := filepath.WalkDir(filepath.Join("testdata", name), func(file string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			data, err := os.ReadFile(file)
			f.Add(data)
			return err
		})
		if err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, read := range readers {
			r, _ := read(t.Context(), migrate.Options{FS: fstest.MapFS{"a.yaml": {Data: data}}, Repository: "https://git.example.com/a/b.git"})
			for _, file := range r.Files {
				if _, err := api.Decode(file.Path, []byte(file.Data)); err != nil {
					t.Fatalf("%s: %v:\n%s", file.Path, err, file.Data)
				}
			}
		}
	})
}
