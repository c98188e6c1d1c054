-- Functions carry the search path of their migration: a producer with another one can call `own.assay_enqueue`, and a
-- trigger finds Assay's tables, also when another role fires it. Functions with the rights of their owner have a narrower one already.

do $$
declare
    function regprocedure;
begin
    for function in
        select p.oid::regprocedure
          from pg_proc p
         where p.pronamespace = quote_ident(current_schema())::regnamespace and not p.prosecdef
           and p.proname in ('assay_wake', 'assay_enqueue', 'assay_releases_changed', 'assay_release_in_use',
                             'assay_lock_ttl', 'assay_new_life', 'assay_fill_job', 'assay_fill_file',
                             'assay_other_report')
    loop
        -- The schema by its name first, because "$user" is another one for another role.
        execute format('alter function %s set search_path = %I, %s, pg_temp',
                       function, current_schema(), current_setting('search_path'));
    end loop;
end
$$;
