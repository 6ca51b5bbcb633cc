package main

import (
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Version is set at link time; without it the build information speaks.
var Version string

func version() string {
	if Version != "" {
		return Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

func root(stdout, stderr io.Writer) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "chamthe-central",
		Short: "Reference central insurance service for chamthe",
		Long: `chamthe-central stands where an insurer's central service will stand: agents at
reception desks send it signed visits and ask it who is insured. It verifies the
evidence of every visit anew and answers with a verdict.`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	cmd.AddCommand(initialise(stdout), serve(stdout, stderr), enrol(stdout), agents(stdout), bundleKey(stdout))
	return cmd
}
