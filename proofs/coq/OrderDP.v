(* Every theorem: which samples random-then-top selection keeps, what its     *)
(* gradient estimates, and where that leads, over any ordered field R.        *)

From OrderDP Require Export Counting Expectation Ranking Rearrangement Inclusion Unbiased.
From OrderDP Require Export Convex Surrogate Counterexamples Gap HorvitzThompson Variance.
From OrderDP Require Export Ties RankDesign Window Limit.
From OrderDP Require Export Vectors Convergence Epoch Staleness Impossibility.
From OrderDP Require Export Transfer Sandwich Generalization Selection Stability Population.
From OrderDP Require Export Differences Corrected.
