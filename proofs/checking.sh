# What the checks of both folders of formal proofs do; each sets `what`, `packages` and `required`.
# They work on a copy in a temporary directory: no compiled file is left beside the sources.

fail() { echo "$what: FAILED: $*" >&2; exit 1; }
missing() {
  echo "$what: SKIPPED: $1 is missing; install Debian's packages $packages" >&2
  exit 3
}

# copied NAME...: go to a copy of these files, which is removed in the end.
copied() {
  command -v coqc >/dev/null || missing coqc
  command -v coqchk >/dev/null || missing coqchk
  work=$(mktemp -d) || exit 1
  trap 'rm -rf "$work"' EXIT
  cp "$@" "$work" && cd "$work" || exit 1
}

# has NAME SENTENCE: whether Coq knows the library that the sentence requires.
has() {
  mkdir probe && echo "$2" >probe/probe.v
  coqc probe/probe.v >probe/log 2>&1 || missing "the Coq library $1"
}

# Sets `theorems`, all of the sources. Words that assume something, or leave something unproved, are
# refused even inside a Section, where some would be harmless, so that every statement stands alone.
read_theorems() {
  words='Admitted|admit|give_up|Abort|Axioms?|Parameters?|Conjectures?|Hypothes[ie]s|Variables?'
  words="$words|Context|Unset +(Guard|Positivity|Universe) +Check(ing|ed)|bypass_check"
  if grep -nwE "$words" ./*.v; then
    fail "the lines above assume something instead of proving it"
  fi
  theorems=$(sed -nE 's/^Theorem +([A-Za-z0-9_]+).*/\1/p' ./*.v)
  for name in $required; do
    echo "$theorems" | grep -qx "$name" || fail "theorem $name is missing"
  done
  [ -z "$(echo "$theorems" | sort | uniq -d)" ] || fail "two theorems have one name"
  count=$(echo "$theorems" | wc -l)
}

# inspected LIBRARY MODULE...: Coq's own account of what each theorem rests on, in assumptions.log.
inspected() {
  library=$1; shift
  {
    echo "From $library Require Import $*."
    for name in $theorems; do echo "Print Assumptions $name."; done
  } >Assumptions.v
  coqc -Q . "$library" Assumptions.v >assumptions.log 2>&1 ||
    { cat assumptions.log >&2; fail "a theorem cannot be inspected"; }
}

# checked_again LIBRARY MODULE...: a second, independent checker reads the compiled proofs.
checked_again() {
  library=$1; shift
  coqchk -silent -Q . "$library" $(printf " -norec $library.%s" "$@") >coqchk.log 2>&1 ||
    { tail -5 coqchk.log >&2; fail "coqchk rejects the compiled proofs"; }
}
