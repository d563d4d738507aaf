#!/bin/sh
# Compiles the proofs about float64 and checks that they assume the real numbers and nothing else.
#   exit 0: every theorem is proved, the last line says how many
#   exit 1: a proof fails, a theorem is missing, or something else is assumed
#   exit 3: Coq or Flocq is not installed
# Works on a copy in a temporary directory: no compiled file is left here.

set -u

required="ratio_exact plain_scan multiply_rounded_near add_rounded_near weight_error"
files="Rounding Weights"

# What Coq's real numbers rest on. A theorem may use these and no other.
axioms="ClassicalDedekindReals.sig_not_dec
ClassicalDedekindReals.sig_forall_dec
FunctionalExtensionality.functional_extensionality_dep
Classical_Prop.classic"

fail() { echo "float64 proofs: FAILED: $*" >&2; exit 1; }
missing() {
  echo "float64 proofs: SKIPPED: $1 is missing; install Debian's packages coq libcoq-flocq" >&2
  exit 3
}

cd "$(dirname "$0")" || exit 1
command -v coqc >/dev/null || missing coqc

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cp ./*.v "$work" && cd "$work" || exit 1

mkdir probe && echo 'From Flocq Require Core.' >probe/probe.v
coqc probe/probe.v >probe/log 2>&1 || missing "the Coq library Flocq"

words='Admitted|admit|give_up|Abort|Axioms?|Parameters?|Conjectures?|Hypothes[ie]s|Variables?'
words="$words|Context|Unset +(Guard|Positivity|Universe) +Check(ing|ed)|bypass_check"
if grep -nwE "$words" ./*.v; then
  fail "the lines above assume something instead of proving it"
fi

theorems=$(sed -nE 's/^Theorem +([A-Za-z0-9_]+).*/\1/p' ./*.v)
for name in $required; do
  echo "$theorems" | grep -qx "$name" || fail "theorem $name is missing"
done

for file in $files; do
  coqc -Q . OrderDPFloat "$file.v" || fail "a proof does not compile"
done

{
  echo "From OrderDPFloat Require Import $files."
  for name in $theorems; do echo "Print Assumptions $name."; done
} >Assumptions.v
coqc -Q . OrderDPFloat Assumptions.v >assumptions.log 2>&1 ||
  { cat assumptions.log >&2; fail "a theorem cannot be inspected"; }
used=$(grep -vE '^( |Axioms:|Closed under)' assumptions.log | cut -d ' ' -f 1 | sort -u)
for name in $used; do
  echo "$axioms" | grep -qx "$name" || fail "a theorem rests on $name"
done
count=$(echo "$theorems" | wc -l)
[ "$(grep -cE '^(Axioms:|Closed under)' assumptions.log)" -eq "$count" ] ||
  fail "not every theorem was inspected"

coqchk -silent -Q . OrderDPFloat $(printf ' -norec OrderDPFloat.%s' $files) >coqchk.log 2>&1 ||
  { tail -5 coqchk.log >&2; fail "coqchk rejects the compiled proofs"; }

echo "float64 proofs: $count theorems proved over Coq's real numbers, with $(echo "$used" | wc -l) axioms"
