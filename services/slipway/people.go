package slipway

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// proposal is what the API shows of one.
type proposal struct {
	ID          string     `json:"id"`
	Application string     `json:"application"`
	Image       string     `json:"image"`
	From        string     `json:"from"`
	To          string     `json:"to"`
	Rule        string     `json:"rule"`
	State       string     `json:"state"`
	Reason      string     `json:"reason,omitempty"`
	Needed      int        `json:"needed"`
	Approvers   []string   `json:"approvers"`
	Chain       string     `json:"chain"`
	Pusher      string     `json:"pusher,omitempty"`
	Opened      time.Time  `json:"opened"`
	Deadline    *time.Time `json:"deadline,omitempty"`
}

// newVote is `slipway approve` or `slipway reject`.
func newVote(use, decision, short string) *cobra.Command {
	var api apiFlags
	var comment, output string
	var override bool
	c := &cobra.Command{
		Use:   use + " ID",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := wantJSON(output)
			if err != nil {
				return err
			}
			var p proposal
			err = api.call(cmd.Context(), http.MethodPost, "/v1/approvals/"+url.PathEscape(args[0])+"/votes", map[string]any{
				"decision": decision, "comment": comment, "overridesFreeze": override,
			}, &p)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd, p)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s -> %s: %d of %d approvals\n", decision, p.Application, p.From, p.To, len(p.Approvers), p.Needed)
			return nil
		},
	}
	api.add(c)
	outputFlag(c, &output)
	c.Flags().StringVar(&comment, "comment", "", "what others shall read")
	if decision == "approved" {
		c.Flags().BoolVar(&override, "override-freeze", false, "deploy it in spite of a freeze; this is recorded")
	}
	return c
}

func newApprovals() *cobra.Command {
	var api apiFlags
	var output string
	var all bool
	c := &cobra.Command{
		Use:   "approvals",
		Short: "List what waits for people",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := wantJSON(output)
			if err != nil {
				return err
			}
			path := "/v1/approvals"
			if all {
				path += "?state=all"
			}
			list := []proposal{}
			if err := api.call(cmd.Context(), http.MethodGet, path, nil, &list); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd, list)
			}
			return columns(cmd.OutOrStdout(), "ID\tAPPLICATION\tIMAGE\tFROM\tTO\tAPPROVALS\tSTATE", len(list), func(i int) []any {
				p := list[i]
				return []any{p.ID[:min(8, len(p.ID))], p.Application, p.Image, tagOf(p.From), tagOf(p.To), fmt.Sprintf("%d/%d", len(p.Approvers), p.Needed), p.State}
			})
		},
	}
	api.add(c)
	outputFlag(c, &output)
	c.Flags().BoolVar(&all, "all", false, "also those that ended")
	return c
}

// tagOf is a reference without its digest.
func tagOf(reference string) string {
	tag, _, _ := strings.Cut(reference, "@")
	return tag
}

// columns prints a table.
func columns(out io.Writer, head string, rows int, row func(i int) []any) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	for i := range rows {
		cells := row(i)
		format := strings.Repeat("%v\t", len(cells))
		fmt.Fprintf(w, format[:len(format)-1]+"\n", cells...)
	}
	return w.Flush()
}

// held is a hold as the API shows it.
type held struct {
	Application string     `json:"application"`
	Image       string     `json:"image"`
	Digest      string     `json:"digest,omitempty"`
	Tag         string     `json:"tag,omitempty"`
	Until       *time.Time `json:"until,omitempty"`
	Reason      string     `json:"reason,omitempty"`
	By          string     `json:"by,omitempty"`
	Repository  string     `json:"repository"`
	Waits       string     `json:"waits,omitempty"` // the pull request that brings it to Git
}

func newHolds() *cobra.Command {
	var api apiFlags
	var output string
	c := &cobra.Command{
		Use:   "holds",
		Short: "List the versions that must not come back",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := wantJSON(output)
			if err != nil {
				return err
			}
			list := []held{}
			if err := api.call(cmd.Context(), http.MethodGet, "/v1/holds", nil, &list); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd, list)
			}
			return columns(cmd.OutOrStdout(), "APPLICATION\tIMAGE\tVERSION\tUNTIL\tBY\tREASON", len(list), func(i int) []any {
				h := list[i]
				until := "-"
				if h.Until != nil {
					until = h.Until.Format(time.RFC3339)
				}
				version := h.Tag
				if version == "" {
					version = h.Digest[:min(19, len(h.Digest))]
				}
				if h.Waits != "" {
					h.Reason += " (in force; waits to be merged: " + h.Waits + ")"
				}
				return []any{h.Application, h.Image, version, until, h.By, h.Reason}
			})
		},
	}
	api.add(c)
	outputFlag(c, &output)
	return c
}

// ask sends a request and prints the chain in which its outcome is told.
func ask(cmd *cobra.Command, api apiFlags, output string, body map[string]any) error {
	asJSON, err := wantJSON(output)
	if err != nil {
		return err
	}
	var answer struct {
		ChainID string `json:"chainId"`
	}
	if err := api.call(cmd.Context(), http.MethodPost, "/v1/requests", body, &answer); err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd, answer)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "asked; see `slipway trace %s`\n", answer.ChainID)
	return nil
}

func newRollback() *cobra.Command {
	var api apiFlags
	var image, to, reason, output string
	c := &cobra.Command{
		Use:   "rollback APPLICATION",
		Short: "Bring an application back to a former version, and hold the present one",
		Long: `Bring an application (cluster/namespace/name) back to what it used before, or
to a version or commit, by a commit in its config repo; and hold the versions
that it passes over, so that they don't come back by themselves. It ignores
freezes and approvals.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, api, output, map[string]any{"kind": "rollback", "application": args[0], "image": image, "to": to, "reason": reason})
		},
	}
	api.add(c)
	outputFlag(c, &output)
	c.Flags().StringVar(&to, "to", "", "a version or a commit; without it, what was there before")
	c.Flags().StringVar(&image, "image", "", "only this image repository; without it, those that the last change moved")
	c.Flags().StringVar(&reason, "reason", "", "why, for the commit and the hold")
	return c
}

// newHold is `slipway hold` or `slipway release`.
func newHold(kind, short string) *cobra.Command {
	var api apiFlags
	var reason, until, output string
	c := &cobra.Command{
		Use:   kind + " APPLICATION IMAGE:TAG|IMAGE@DIGEST",
		Short: short,
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"kind": kind, "application": args[0], "reason": reason}
			if until != "" {
				at, err := time.Parse(time.RFC3339, until)
				if err != nil {
					return fmt.Errorf("%w: --until %q is not a time such as 2026-12-01T00:00:00Z", errUsage, until)
				}
				body["until"] = at
			}
			image, digest, pinned := strings.Cut(args[1], "@")
			at := strings.LastIndexByte(image, ':')
			switch {
			case pinned:
				body["image"], body["digest"] = image, digest
			case at > strings.LastIndexByte(image, '/'):
				body["image"], body["tag"] = image[:at], image[at+1:]
			default:
				return fmt.Errorf("%w: %q names no version: write IMAGE:TAG or IMAGE@DIGEST", errUsage, args[1])
			}
			return ask(cmd, api, output, body)
		},
	}
	api.add(c)
	outputFlag(c, &output)
	if kind == "hold" {
		c.Flags().StringVar(&until, "until", "", "when it ends (RFC 3339); without it, when it is released")
		c.Flags().StringVar(&reason, "reason", "", "why, for the commit and the hold")
	}
	return c
}
