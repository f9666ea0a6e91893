"""Every fault found in optax 0.2.8, the test that shows jaxlab free of it, and whether optax still has it."""

from laws import optax_faults as faults
from laws.optax_faults import Fault

FAULTS = (
    # Numbers.
    Fault(
        "in bfloat16 b2 = 0.999 rounds to 1, and a mean square never decays",
        "test_mean_squares_in_bfloat16_decay",
        faults.mean_square_stands_still,
    ),
    Fault(
        "inject_hyperparams casts b2 to the parameters' bfloat16, and the first step is NaN",
        "test_traced_numbers_keep_their_precision",
        faults.injected_numbers_are_cast,
    ),
    Fault(
        "gradients of exactly zero in float16 give NaN",
        "test_zero_gradients_in_float16_move_nothing",
        faults.zero_gradients_in_float16_are_nan,
    ),
    Fault(
        "float32 gradients of bfloat16 parameters change the state's dtypes after one step",
        "test_states_keep_their_dtypes",
        faults.state_changes_its_dtype,
    ),
    Fault(
        "apply_updates swallows small steps of bfloat16 parameters",
        "test_small_steps_arrive_on_average",
        faults.small_steps_are_swallowed,
    ),
    Fault("tree.norm sums in bfloat16 and saturates", "test_norms_are_summed_in_float32", faults.norms_saturate),
    Fault(
        "clipping of float16 gradients of 300 gives zero",
        "test_clipping_in_float16_gives_the_norm_asked_for",
        faults.clipping_in_float16_gives_zero,
    ),
    Fault(
        "schedule-free's sum of weights saturates in bfloat16",
        "test_sums_of_weights_are_kept_in_float32",
        faults.weight_sum_saturates,
    ),
    # Formulas.
    Fault(
        "Adan weights the change of the gradient by 1 - b2 where its authors take b2",
        "test_adan_is_its_authors",
        faults.adan_takes_one_minus_b2,
    ),
    Fault(
        "rprop's first update is zero",
        "test_the_first_sign_counts",
        faults.first_step_of_rprop_is_zero,
    ),
    Fault(
        "Yogi's mean begins at 1e-6", "test_yogi_has_no_momentum_before_a_gradient", faults.yogi_begins_with_momentum
    ),
    Fault(
        "Muon refuses coefficients for more steps than it takes, and takes those for fewer",
        "test_muon_takes_coefficients_for_all_its_steps",
        faults.enough_coefficients_are_refused,
    ),
    Fault("Muon orthogonalizes embeddings", "test_embeddings_are_no_matrices", faults.embeddings_go_to_muon),
    Fault(
        "Muon hands stacked kernels, of three axes, to Adam",
        "test_stacked_kernels_are_matrices_or_an_error",
        faults.stacked_kernels_go_to_adam,
    ),
    Fault("Muon's Adam is NAdam", "test_the_fallback_is_what_its_name_says", faults.muon_falls_back_to_nadam),
    Fault(
        "rmsprop and lars apply momentum after the learning rate",
        "test_at_a_rate_of_zero_nothing_moves",
        lambda: faults.momentum_after_the_rate() and faults.momentum_of_lars_after_the_rate(),
    ),
    Fault(
        "Adafactor's decay is not multiplied by the learning rate",
        "test_decay_is_multiplied_by_the_rate",
        faults.decay_of_adafactor_knows_no_rate,
    ),
    # Wrappers.
    Fault(
        "masked passes the raw gradients of masked leaves on",
        "test_frozen_leaves_stand_still",
        faults.masked_leaves_get_raw_gradients,
    ),
    Fault(
        "MultiSteps runs the inner update at every micro-step",
        "test_the_optimizer_runs_once_for_all_micro_batches",
        faults.multi_steps_runs_the_inner_update_each_time,
    ),
    Fault(
        "one NaN poisons MultiSteps for good",
        "test_one_nan_costs_one_step",
        faults.one_nan_poisons_multi_steps,
    ),
    Fault(
        "apply_if_finite finally applies NaN",
        "test_skipping_never_gives_up",
        faults.apply_if_finite_gives_up,
    ),
    Fault("monitor breaks under scan", "test_what_is_shown_is_there_under_scan", faults.monitor_breaks_under_scan),
    Fault(
        "the states of prodigy, dog, sam, cocob and mechanize share memory with the parameters: donation fails",
        "test_states_have_memory_of_their_own",
        faults.states_share_the_parameters_memory,
    ),
    Fault(
        "flatten concatenates all leaves at every step, slow at 600 of them",
        "test_leaves_stay_apart",
        faults.leaves_are_concatenated,
    ),
    Fault(
        "clipping inside partition is by group",
        "test_clipping_sees_all_groups_and_no_frozen_leaf",
        faults.clipping_is_by_group,
    ),
    Fault(
        "peak and lengths of warm-up and cosine do not trace, nor an exponential's rate",
        "test_schedules_trace_in_every_number",
        faults.schedules_do_not_trace,
    ),
    Fault("sam makes NaN of zero gradients", "test_sam_stands_still_without_a_gradient", faults.sam_makes_nan_of_zero),
    Fault(
        "schedule_free_eval_params fails inside chain",
        "test_evaluation_parameters_are_found_in_a_chain",
        faults.evaluation_parameters_fail_inside_a_chain,
    ),
    # Names.
    Fault(
        "masks and dtypes have five names",
        "test_one_thing_has_one_name",
        faults.one_thing_has_many_names,
    ),
    Fault(
        "weight_decay is 0, 1e-4 or 1e-3 by default",
        "test_decay_is_off_by_default_but_where_it_is_the_method",
        faults.decay_has_many_defaults,
    ),
    Fault(
        "the integer label -100 silently wraps around",
        "test_a_label_that_is_no_class_is_nan_or_ignored",
        faults.labels_wrap_around,
    ),
)
