drop table release_shadows;
update release_changes set undid = null
 where undid in (select id from release_changes where action in ('shadow', 'halt'));
delete from release_changes where action in ('shadow', 'halt');
alter table release_changes
    drop constraint release_changes_action_check,
    add constraint release_changes_action_check
        check (action in ('publish', 'activate', 'canary', 'promote', 'rollback', 'retire'));
alter table release_channels drop column shadow;
drop index job_answers_received;
drop index job_attempts_release;
alter table job_attempts drop column guest_digest, drop column channel, drop column guest_micros, drop column report_key;
