package slipway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/services/slipway/backup"
	"github.com/slipway-cd/slipway/shared/bus/busserver"
	"github.com/slipway-cd/slipway/shared/service"
)

// dataFlags say which data folder is meant.
type dataFlags struct{ config, data string }

func (d *dataFlags) add(c *cobra.Command) {
	configFlag(c, &d.config)
	c.Flags().StringVar(&d.data, "data", "", "the data folder, instead of the config's")
}

// folder is the data folder of an embedded bus. Of the config only what says
// that is read: a new machine may not have the secrets yet.
func (d *dataFlags) folder() (string, error) {
	if d.data != "" {
		return d.data, nil
	}
	cfg, err := service.LoadRepositories(d.config)
	if err != nil {
		return "", err
	}
	if cfg.Bus.Embedded == nil {
		return "", fmt.Errorf("%w: the bus of %s is not embedded but a NATS server: back that up by its own means (`nats account backup`)", errUsage, d.config)
	}
	return cfg.Data, nil
}

func newBackup() *cobra.Command {
	var from dataFlags
	var force bool
	c := &cobra.Command{
		Use:   "backup FILE|-",
		Short: "Keep the data folder of `slipway up` in a file, also while it runs",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := from.folder()
			if err != nil {
				return err
			}
			if args[0] == "-" {
				return backUp(cmd.Context(), data, cmd.OutOrStdout())
			}
			m, err := backUpTo(cmd.Context(), data, args[0], force)
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", args[0], told(m))
			}
			return err
		},
	}
	from.add(c)
	c.Flags().BoolVar(&force, "force", false, "write over the file where it is there")
	return c
}

// told says what is in a backup.
func told(m backup.Manifest) string {
	text := fmt.Sprintf("%d files, %d bytes, of %s", len(m.Files), m.Bytes(), m.Made.Format(time.RFC3339))
	if m.PausedMs > 0 {
		text += fmt.Sprintf("; the bus stood still for %d ms", m.PausedMs)
	}
	return text
}

// backUp writes a backup: by the process that has the folder, else itself.
func backUp(ctx context.Context, data string, to io.Writer) error {
	if _, err := os.Stat(data); err != nil {
		return fmt.Errorf("%w: there is no data folder: %w", errUsage, err)
	}
	claim, err := backup.Take(data)
	if errors.Is(err, backup.ErrInUse) {
		return askBackup(ctx, data, to)
	}
	if err != nil {
		return err
	}
	defer claim.Release()
	_, err = backup.Write(to, data, backup.Manifest{Version: program(), Made: time.Now().UTC()})
	return err
}

// backUpTo writes a backup beside the file, reads it again, and only then puts
// it in place.
func backUpTo(ctx context.Context, data, file string, force bool) (m backup.Manifest, err error) {
	if _, err := os.Lstat(file); err == nil && !force {
		return m, fmt.Errorf("%w: %s is there already (--force writes over it)", errUsage, file)
	}
	out, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*") // 0600
	if err != nil {
		return m, fmt.Errorf("back up: %w", err)
	}
	defer func() {
		out.Close()
		if err != nil {
			os.Remove(out.Name())
		}
	}()
	if err := backUp(ctx, data, out); err != nil {
		return m, err
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return m, fmt.Errorf("back up: %w", err)
	}
	if m, err = backup.Check(out); err != nil {
		return m, fmt.Errorf("read the backup again: %w", err)
	}
	if err := out.Sync(); err != nil {
		return m, fmt.Errorf("back up: %w", err)
	}
	if err := os.Rename(out.Name(), file); err != nil {
		return m, fmt.Errorf("back up: %w", err)
	}
	return m, nil
}

func newRestore() *cobra.Command {
	var to dataFlags
	var force, dry bool
	c := &cobra.Command{
		Use:   "restore FILE|-",
		Short: "Put a backup into the data folder; `slipway up` must be stopped",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, end, err := input(cmd, args[0])
			if err != nil {
				return err
			}
			defer end()
			if dry {
				m, err := backup.Check(in)
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "%s is whole: %s\n", args[0], told(m))
				}
				return err
			}
			data, err := to.folder()
			if err != nil {
				return err
			}
			m, err := restore(in, data, force)
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: restored %s\n", data, told(m))
			}
			return err
		},
	}
	to.add(c)
	c.Flags().BoolVar(&force, "force", false, "replace the streams that are there: they are gone for good")
	c.Flags().BoolVar(&dry, "dry-run", false, "only check that the file is whole")
	return c
}

func restore(in io.Reader, data string, force bool) (m backup.Manifest, err error) {
	claim, err := backup.Take(data)
	if errors.Is(err, backup.ErrInUse) {
		return m, fmt.Errorf("%w: stop `slipway up` first: %w", errRefused, err)
	}
	if err != nil {
		return m, err
	}
	defer claim.Release()
	m, err = backup.Restore(in, data, force, opens)
	if errors.Is(err, backup.ErrNotEmpty) {
		return m, fmt.Errorf("%w: %w (--force replaces them)", errRefused, err)
	}
	return m, err
}

// opens says whether the bus can open streams.
func opens(streams string) error {
	s, err := busserver.Start(busserver.Options{Dir: streams, Addr: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	defer s.Shutdown()
	return s.Healthy()
}

// input is a file, or standard input.
func input(cmd *cobra.Command, name string) (in io.Reader, end func(), err error) {
	if name == "-" {
		return cmd.InOrStdin(), func() {}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	return f, func() { f.Close() }, nil
}
