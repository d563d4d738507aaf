#!/bin/sh
# Compiles the proofs about float64 and checks that they assume the real numbers and nothing else.
#   exit 0: every theorem is proved, the last line says how many
#   exit 1: a proof fails, a theorem is missing, or something else is assumed
#   exit 3: Coq or Flocq is not installed

set -u

required="ratio_exact plain_scan multiply_rounded_near add_rounded_near weight_error"
files="Rounding Weights"

# What Coq's real numbers rest on. A theorem may use these and no other.
axioms="ClassicalDedekindReals.sig_not_dec
ClassicalDedekindReals.sig_forall_dec
FunctionalExtensionality.functional_extensionality_dep
Classical_Prop.classic"

what="float64 proofs"
packages="coq libcoq-flocq"

cd "$(dirname "$0")" || exit 1
. ../checking.sh
copied ./*.v
has Flocq 'From Flocq Require Core.'
read_theorems

for file in $files; do
  coqc -Q . OrderDPFloat "$file.v" || fail "a proof does not compile"
done

inspected OrderDPFloat $files
used=$(grep -vE '^( |Axioms:|Closed under)' assumptions.log | cut -d ' ' -f 1 | sort -u)
for name in $used; do
  echo "$axioms" | grep -qx "$name" || fail "a theorem rests on $name"
done
[ "$(grep -cE '^(Axioms:|Closed under)' assumptions.log)" -eq "$count" ] ||
  fail "not every theorem was inspected"

checked_again OrderDPFloat $files

echo "float64 proofs: $count theorems proved over Coq's real numbers, with $(echo "$used" | wc -l) axioms"
